#include "ws/passing.hpp"

#include <algorithm>

#include "ws/syntax.hpp"

namespace holdfast::ws {
namespace {
constexpr NameSet always_hop_by_hop("Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer",
                                    "Transfer-Encoding", "Upgrade", "Proxy-Authorization",
                                    "Proxy-Authenticate", "HTTP2-Settings");
}  // namespace

bool is_any_of(std::string_view name, std::span<const std::string_view> names) noexcept {
  for (const std::string_view one : names) {
    if (equal_ignoring_case(one, name)) return true;
  }
  return false;
}

bool begins_like(std::string_view name, std::string_view lower_case_prefix) noexcept {
  return name.size() >= lower_case_prefix.size() &&
         std::equal(lower_case_prefix.begin(), lower_case_prefix.end(), name.begin(),
                    [](char wanted, char c) { return wanted == (c == '_' ? '-' : to_lower(c)); });
}

bool is_like(std::string_view name, std::string_view other) noexcept {
  const auto one_for_both = [](char c) { return c == '_' ? '-' : to_lower(c); };
  return std::equal(name.begin(), name.end(), other.begin(), other.end(),
                    [&](char a, char b) { return one_for_both(a) == one_for_both(b); });
}

std::vector<std::string_view> list_of_connection(const Fields& head) {
  std::vector<std::string_view> names;
  for (std::size_t n = 0; n < head.size(); ++n) {
    const Field field = head[n];
    if (!equal_ignoring_case(field.name, "Connection")) continue;
    ListReader elements(field.value);
    while (const auto name = elements.next()) {
      if (!always_hop_by_hop.has(*name)) names.push_back(*name);
    }
  }
  return names;
}

bool is_hop_by_hop(std::string_view name, std::span<const std::string_view> named) noexcept {
  static constexpr NameSet essential("Host", "Origin", "Cookie", "Set-Cookie", "Authorization", "Forwarded");
  if (always_hop_by_hop.has(name)) return true;
  if (!is_any_of(name, named)) return false;
  return !essential.has(name) && !starts_with_ignoring_case(name, "Sec-WebSocket-") &&
         !starts_with_ignoring_case(name, "X-Forwarded-");
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

}  // namespace holdfast::ws
