#include "config/shape_protection.hpp"

#include <algorithm>

#include "config/words.hpp"
#include "holdfast/config/origin.hpp"

namespace holdfast::config {
namespace {

constexpr std::uint64_t most_per_second = 1'000'000;
constexpr SizeRange most_bytes_per_second{0, 1ULL << 40};
// An empty list would mean "nobody" to some and "anybody" to others.
constexpr Count some{1, 1000};

template <class Integer>
void number(Visitor& v, const char* name, Integer& field, std::uint64_t most) {
  std::uint64_t value = field;
  v.number({name}, value, {0, most});
  field = static_cast<Integer>(value);  // `most` is within Integer, the visitor keeps to it
}

void networks(Visitor& v, const char* name, std::vector<Network>& field) {
  std::vector<std::string> texts;
  v.texts({name}, texts, some, [&](const std::string& text) {
    std::string why;
    if (auto parsed = parse_network(text, why)) field.push_back(*parsed);
    return why;
  });
}

void access(Visitor& v, Access& a) {
  networks(v, "allow", a.allow);
  networks(v, "deny", a.deny);
}

std::string check_origin(const std::string& text) {
  std::string why;
  (void)OriginPattern::compile(text, why);
  return why;
}

}  // namespace

std::string_view to_string(RateMode value) noexcept {
  return rate_mode_words[static_cast<std::size_t>(value)];
}

bool Access::admits(const SocketAddress& client) const noexcept {
  if (is_open() || (client.family() != AF_INET && client.family() != AF_INET6)) return true;
  const auto has_it = [&](const Network& network) { return network.contains(client.get()); };
  if (std::any_of(deny.begin(), deny.end(), has_it)) return false;
  return allow.empty() || std::any_of(allow.begin(), allow.end(), has_it);
}

void shape_protection(Visitor& v, ListenerProtection& l) {
  number(v, "max_sessions_per_ip", l.max_sessions_per_ip, 1'000'000'000);
  number(v, "max_handshakes_per_second", l.max_handshakes_per_second, most_per_second);
  number(v, "handshake_burst", l.handshake_burst, most_per_second);
  number(v, "max_handshakes_per_second_per_ip", l.max_handshakes_per_second_per_ip, most_per_second);
  number(v, "handshake_burst_per_ip", l.handshake_burst_per_ip, most_per_second);
  access(v, l.access);
}

void shape_protection(Visitor& v, RouteProtection& r) {
  v.texts({"origins"}, r.origins, some, check_origin);
  bool required = r.require_origin == RouteProtection::Origin::required;
  v.flag({"require_origin"}, required);
  r.require_origin = required ? RouteProtection::Origin::required : RouteProtection::Origin::optional;
  access(v, r.access);
  number(v, "max_messages_per_second", r.max_messages_per_second, most_per_second);
  number(v, "message_burst", r.message_burst, most_per_second);
  v.size({"max_bytes_per_second"}, r.max_bytes_per_second, most_bytes_per_second);
  v.size({"byte_burst"}, r.byte_burst, most_bytes_per_second);
  auto mode = static_cast<std::size_t>(r.rate_mode);
  v.choice({"rate_mode"}, mode, words<RateMode>());
  r.rate_mode = static_cast<RateMode>(mode);
  number(v, "max_fragments", r.max_fragments, most_per_second);
}

void shape_circuit_breaker(Visitor& v, CircuitBreaker& c) {
  number(v, "max_sessions", c.max_sessions, 1'000'000'000);
  number(v, "max_pending", c.max_pending, most_per_second);
  number(v, "retry_percent", c.retry_percent, 100);
  number(v, "min_retries_per_second", c.min_retries_per_second, 100'000);
}

}  // namespace holdfast::config
