#pragma once
// Request targets: "/a/b%2Fc?x=1" into decoded parts.

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast::admin {

struct Target {
  std::vector<std::string> path;                           // segments, decoded after splitting; "/" has none
  std::vector<std::pair<std::string, std::string>> query;  // in order, decoded
};

/// Nothing for what doesn't begin with '/' or has a broken %XX.
[[nodiscard]] std::optional<Target> parse_target(std::string_view text);

/// The first value of that name.
[[nodiscard]] std::optional<std::string> query_value(const Target& target, std::string_view name);

}  // namespace holdfast::admin
