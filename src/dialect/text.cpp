#include "dialect/text.hpp"

#include <simdjson.h>

#include <algorithm>
#include <charconv>

#include "holdfast/dialect/act.hpp"

namespace holdfast::dialect {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool needs_escape(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\';
}

void append_one(char c, std::string& out) {
  constexpr std::string_view digits = "0123456789abcdef";
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      out += "\\u00";
      out += digits[static_cast<unsigned char>(c) >> 4U];
      out += digits[static_cast<unsigned char>(c) & 15U];
  }
}

void append_valid(std::string_view text, std::string& out) {
  while (!text.empty()) {
    const auto plain = static_cast<std::size_t>(std::ranges::find_if(text, needs_escape) - text.begin());
    out.append(text.substr(0, plain));
    if (plain == text.size()) return;
    append_one(text[plain], out);
    text.remove_prefix(plain + 1);
  }
}

std::size_t take_digits(std::string_view& text) {
  const auto length = static_cast<std::size_t>(std::ranges::find_if_not(text, is_digit) - text.begin());
  text.remove_prefix(length);
  return length;
}

// The next character, folded; `text` loses it.
char take_folded(std::string_view& text) {
  constexpr std::string_view long_s = "\xc5\xbf";
  constexpr std::string_view kelvin = "\xe2\x84\xaa";
  for (const auto& [bytes, letter] : {std::pair{long_s, 's'}, std::pair{kelvin, 'k'}}) {
    if (!text.starts_with(bytes)) continue;
    text.remove_prefix(bytes.size());
    return letter;
  }
  const char c = text[0];
  text.remove_prefix(1);
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace

void append_escaped(std::string_view text, std::string& out) {
  if (simdjson::validate_utf8(text.data(), text.size())) return append_valid(text, out);
  for (const char c : text) {
    if (static_cast<unsigned char>(c) >= 0x80) {
      out += "\xef\xbf\xbd";
    } else {
      append_valid({&c, 1}, out);
    }
  }
}

void append_string(std::string_view text, std::string& out) {
  out += '"';
  append_escaped(text, out);
  out += '"';
}

bool is_number(std::string_view raw) noexcept {
  if (raw.starts_with('-')) raw.remove_prefix(1);
  const bool leading_zero = raw.starts_with('0');
  const std::size_t whole = take_digits(raw);
  if (whole == 0 || (leading_zero && whole > 1)) return false;
  if (raw.starts_with('.')) {
    raw.remove_prefix(1);
    if (take_digits(raw) == 0) return false;
  }
  if (raw.starts_with('e') || raw.starts_with('E')) {
    raw.remove_prefix(1);
    if (raw.starts_with('+') || raw.starts_with('-')) raw.remove_prefix(1);
    if (take_digits(raw) == 0) return false;
  }
  return raw.empty();
}

bool is_scalar(std::string_view raw) noexcept {
  if (raw.empty()) return false;
  if (raw == "null" || raw == "true" || raw == "false") return true;
  if (raw[0] != '"') return is_number(raw);
  raw.remove_prefix(1);
  while (!raw.empty()) {
    if (raw[0] == '"') return raw.size() == 1;
    if (static_cast<unsigned char>(raw[0]) < 0x20) return false;
    const std::size_t taken = raw[0] == '\\' ? 2 : 1;
    if (raw.size() < taken) return false;
    raw.remove_prefix(taken);
  }
  return false;
}

std::optional<std::uint64_t> read_integer(std::string_view raw) noexcept {
  if (!is_number(raw) || !std::ranges::all_of(raw, is_digit)) return std::nullopt;
  std::uint64_t value = 0;
  const auto read = std::from_chars(raw.data(), raw.data() + raw.size(), value);
  if (read.ec != std::errc{} || read.ptr != raw.data() + raw.size()) return std::nullopt;
  return value;
}

bool fits(std::string_view pattern, std::string_view text) noexcept {
  // Where to go on when what follows the last "*" does not fit: let that one stand for a byte more.
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;
  std::size_t star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool names_key(std::string_view pattern, std::string_view key) noexcept {
  return pattern.empty() || fits(pattern, key);
}

std::string_view part_of(std::string_view name, char separator, unsigned index) noexcept {
  for (unsigned n = 1;; ++n) {
    const std::size_t end = name.find(separator);
    if (n == index) return name.substr(0, end);
    if (end == std::string_view::npos) return {};
    name.remove_prefix(end + 1);
  }
}

bool differ_in_case_only(std::string_view a, std::string_view b) noexcept {
  if (a == b) return false;
  while (!a.empty() && !b.empty()) {
    if (take_folded(a) != take_folded(b)) return false;
  }
  return a.empty() && b.empty();
}

}  // namespace holdfast::dialect
