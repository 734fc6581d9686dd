#pragma once
// JSON text to a tree, stricter than the library: duplicate keys and deep nesting are errors.

#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "config/problems.hpp"

namespace holdfast::config {

inline constexpr std::size_t max_nesting = 32;

/// Comments are allowed. Nothing if the text is not JSON; duplicate keys are reported and the tree
/// is returned nevertheless, so that the rest can be checked in the same run.
[[nodiscard]] std::optional<nlohmann::json> parse_json(std::string_view text, Problems& problems);

}  // namespace holdfast::config
