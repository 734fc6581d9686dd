#pragma once
// Small things about JSON text and names.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::dialect {

/// As a JSON string with its quotes. What is no UTF-8 becomes U+FFFD.
void append_string(std::string_view text, std::string& out);
/// The inside of it, without quotes.
void append_escaped(std::string_view text, std::string& out);

/// RFC 8259 section 6.
[[nodiscard]] bool is_number(std::string_view raw) noexcept;
/// A number, a string, null, true or false, and nothing around it. A string's escapes are not looked at
/// closely: it must be one that was read from a message.
[[nodiscard]] bool is_scalar(std::string_view raw) noexcept;
/// Digits only: no sign, no fraction, no exponent, within 64 bits.
[[nodiscard]] std::optional<std::uint64_t> read_integer(std::string_view raw) noexcept;

/// "*" stands for any text, everything else for itself.
[[nodiscard]] bool fits(std::string_view pattern, std::string_view text) noexcept;

/// Part `index` (from 1) of a name that `separator` parts; empty if it has fewer.
[[nodiscard]] std::string_view part_of(std::string_view name, char separator, unsigned index) noexcept;

/// Equal but for upper and lower case, as the loosest of common JSON libraries sees it (Go's takes "ID" for
/// "id", and U+017F and U+212A for s and k), and not equal.
[[nodiscard]] bool differ_in_case_only(std::string_view a, std::string_view b) noexcept;

}  // namespace holdfast::dialect
