#include "config/shape_balancing.hpp"

#include <utility>

#include "config/text_checks.hpp"
#include "config/words.hpp"

namespace holdfast::config {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

// What browsers cut longer ones to.
constexpr milliseconds longest_cookie = hours(24 * 400);

void sticky(Visitor& v, Sticky& s) {
  v.text({"cookie"}, s.cookie, check_cookie_name);
  v.duration({"ttl"}, s.ttl, {seconds(1), longest_cookie, Zero::means_off});
  auto same_site = static_cast<std::size_t>(s.same_site);
  v.choice({"same_site"}, same_site, words<SameSite>());
  s.same_site = static_cast<SameSite>(same_site);
  v.text({"secret_file"}, s.secret_file, nullptr);
}

void queue(Visitor& v, Queue& q) {
  std::uint64_t length = q.length;
  v.number({"length"}, length, {0, 100'000});
  q.length = static_cast<std::uint32_t>(length);
  v.duration({"timeout"}, q.timeout, {milliseconds(10), minutes(10)});
}

}  // namespace

void visit_balancing(Visitor& v, Upstream& u) {
  std::string policy = to_string(u.policy);
  const std::span<const std::string_view> plain(policy_words.data(), policy_words.size() - 1);
  v.word_or_text({"policy"}, policy, plain, "^hash:(ip|path|(header|cookie|query):.+)$",
                 [&](const std::string& text) {
                   std::string why;
                   if (auto parsed = parse_policy(text, why)) u.policy = std::move(*parsed);
                   return why;
                 });
  std::uint64_t factor = u.hash_balance_factor;
  v.number({"hash_balance_factor"}, factor, {101, 10'000, "off"});
  u.hash_balance_factor = static_cast<std::uint32_t>(factor);
  v.object({"sticky"}, [&](Visitor& inner) { sticky(inner, u.sticky.emplace()); });
  v.duration({"slow_start"}, u.slow_start, {milliseconds(100), hours(1), Zero::means_off});
  v.object({"queue"}, [&](Visitor& inner) { queue(inner, u.queue); });
  std::uint64_t percent = u.zone_min_percent;
  v.number({"zone_min_percent"}, percent, {0, 100});
  u.zone_min_percent = static_cast<std::uint32_t>(percent);
}

void visit_place(Visitor& v, BackendConfig& b) {
  bool backup = b.rank == BackendConfig::Rank::backup;
  v.flag({"backup"}, backup);
  b.rank = backup ? BackendConfig::Rank::backup : BackendConfig::Rank::primary;
  visit_zone(v, b.zone);
}

void visit_zone(Visitor& v, std::string& zone) {
  v.text({"zone"}, zone, check_zone_name);
}

}  // namespace holdfast::config
