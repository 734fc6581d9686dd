#include "frontend/common_fields.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

namespace holdfast::frontend {

namespace {

// Not among them: Cookie, Authorization, Sec-WebSocket-Protocol (tokens travel there), X-Forwarded-For and
// everything that we don't know.
constexpr std::array<std::string_view, 20> common_names{"accept",
                                                        "accept-encoding",
                                                        "accept-language",
                                                        "cache-control",
                                                        "connection",
                                                        "dnt",
                                                        "host",
                                                        "origin",
                                                        "pragma",
                                                        "priority",
                                                        "sec-gpc",
                                                        "sec-websocket-extensions",
                                                        "sec-websocket-version",
                                                        "upgrade",
                                                        "user-agent",
                                                        "via",
                                                        "x-forwarded-host",
                                                        "x-forwarded-port",
                                                        "x-forwarded-proto",
                                                        "x-requested-with"};
constexpr std::array<std::string_view, 2> common_prefixes{"sec-ch-ua", "sec-fetch-"};

// Each line of each head comes here: most names differ from each of these in size or in their first letter.
bool begins_like(std::string_view name, std::string_view lower_case) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; };
  return lower(name[0]) == lower_case[0] &&
         std::ranges::equal(lower_case, name.substr(0, lower_case.size()), {}, {}, lower);
}

bool is_common(std::string_view name) {
  if (name.empty()) return false;
  const auto is_name = [name](std::string_view known) {
    return known.size() == name.size() && begins_like(name, known);
  };
  const auto has_prefix = [name](std::string_view prefix) { return begins_like(name, prefix); };
  return std::ranges::any_of(common_names, is_name) || std::ranges::any_of(common_prefixes, has_prefix);
}

}  // namespace

session::Continuation::Head CommonFields::split(std::string_view stem) {
  session::Continuation::Head head;
  std::string common;
  head.start_line = session::take_line(stem);
  head.own_fields.reserve(stem.size());
  common.reserve(stem.size());
  constexpr unsigned most_lines = 64;
  for (unsigned n = 0; !stem.empty(); ++n) {
    const std::string_view line = session::take_line(stem);
    const bool shared = n < most_lines && is_common(line.substr(0, line.find(':')));
    if (shared) head.common_lines |= std::uint64_t{1} << n;
    (shared ? common : head.own_fields) += line;
  }
  head.common_fields = one_for_all(std::move(common));
  return head;
}

std::shared_ptr<const std::string> CommonFields::one_for_all(std::string fields) {
  std::weak_ptr<const std::string>& place = known_[std::hash<std::string_view>{}(fields)];
  if (auto known = place.lock(); known != nullptr && *known == fields) return known;
  fields.shrink_to_fit();
  auto fresh = std::make_shared<const std::string>(std::move(fields));
  place = fresh;
  if (known_.size() >= purge_at_) purge();
  return fresh;
}

// Seldom enough that it costs each one that was added a constant time.
void CommonFields::purge() {
  std::erase_if(known_, [](const auto& entry) { return entry.second.expired(); });
  purge_at_ = std::max(fewest_to_purge, 2 * known_.size());
}

}  // namespace holdfast::frontend
