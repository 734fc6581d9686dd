#pragma once
// JSON objects that two readers can't read in two ways. Private to auth.

#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

namespace holdfast::auth {

/// An object without repeated names (RFC 8725 section 2.4 tells why), nested 16 deep at most, and nothing
/// behind it.
[[nodiscard]] std::optional<nlohmann::json> parse_object(std::string_view text);

}  // namespace holdfast::auth
