#include "admin/target.hpp"

#include "holdfast/admin/client.hpp"
#include "holdfast/base/percent.hpp"

namespace holdfast::admin {
namespace {

// Cuts the text before the first `mark` off the front, and the mark.
std::string_view take_until(std::string_view& text, char mark) {
  const std::string_view part = text.substr(0, text.find(mark));
  text.remove_prefix(part.size() < text.size() ? part.size() + 1 : part.size());
  return part;
}

}  // namespace

std::optional<Target> parse_target(std::string_view text) {
  if (text.empty() || text[0] != '/') return std::nullopt;
  Target out;
  std::string_view query = text;
  std::string_view path = take_until(query, '?');
  path.remove_prefix(1);
  while (!path.empty()) {
    auto segment = percent_decoded(take_until(path, '/'));
    if (!segment) return std::nullopt;
    out.path.push_back(std::move(*segment));
  }
  while (!query.empty()) {
    std::string_view value = take_until(query, '&');
    auto name = percent_decoded(take_until(value, '='));
    auto decoded = percent_decoded(value);
    if (!name || !decoded) return std::nullopt;
    out.query.emplace_back(std::move(*name), std::move(*decoded));
  }
  return out;
}

std::optional<std::string> query_value(const Target& target, std::string_view name) {
  for (const auto& [key, value] : target.query) {
    if (key == name) return value;
  }
  return std::nullopt;
}

std::string percent_encode(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (letter || c == '-' || c == '.' || c == '_' || c == '~') {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += digits[byte >> 4U];
    out += digits[byte & 15U];
  }
  return out;
}

}  // namespace holdfast::admin
