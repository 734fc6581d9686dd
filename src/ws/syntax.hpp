// The small pieces of HTTP grammar (RFC 9110 section 5.6) that heads, fields and lists share.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <vector>

namespace holdfast::ws {

inline constexpr std::array<bool, 256> token_chars = [] {
  std::array<bool, 256> is{};
  for (const char c :
       std::string_view("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    is[static_cast<unsigned char>(c)] = true;
  return is;
}();

// tchar: what methods, field names and tokens are made of.
[[nodiscard]] inline bool is_token_char(char c) noexcept {
  return token_chars[static_cast<unsigned char>(c)];
}
[[nodiscard]] bool is_token(std::string_view text) noexcept;  // one char or more

// ASCII only and whatever the locale.
[[nodiscard]] constexpr char to_lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
// In the header: each field's name is compared with dozens of others, and nearly all of them differ in size.
[[nodiscard]] inline bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return to_lower(x) == to_lower(y); });
}
[[nodiscard]] bool starts_with_ignoring_case(std::string_view text, std::string_view prefix) noexcept;

// Without spaces and tabs at both ends.
[[nodiscard]] std::string_view trim(std::string_view text) noexcept;

// Elements of a comma-separated list, trimmed, empty ones left out (RFC 9110 section 5.6.1.2). Not
// for lists with quoted strings.
class ListReader {
 public:
  explicit ListReader(std::string_view list) noexcept : rest_(list) {}
  [[nodiscard]] std::optional<std::string_view> next() noexcept;

 private:
  std::string_view rest_;
};
[[nodiscard]] std::vector<std::string_view> list_elements(std::string_view value);

// A field value takes blanks, visible ASCII and bytes over 0x7f, nothing else.
[[nodiscard]] bool is_field_value(std::string_view text) noexcept;

// Digits only, no sign, no blank; nullopt on overflow of `limit`.
[[nodiscard]] std::optional<unsigned> parse_number(std::string_view digits, unsigned limit) noexcept;

}  // namespace holdfast::ws
