#pragma once
// RFC 4648 section 5 without padding, as RFC 7515 wants it. Private to auth.

#include <optional>
#include <string>
#include <string_view>

namespace holdfast::auth {

/// Strict: one text for each sequence of bytes. No padding, no white space, no other characters, no spare
/// bits that are set.
[[nodiscard]] std::optional<std::string> decode_base64url(std::string_view text);

}  // namespace holdfast::auth
