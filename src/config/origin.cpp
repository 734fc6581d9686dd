#include "holdfast/config/origin.hpp"

#include <algorithm>
#include <charconv>

namespace holdfast::config {
namespace {

constexpr const char* allowed =
    "must be an origin such as \"https://app.example.com\", \"https://*.example.com:8443\", "
    "\"*.example.com\" or \"null\": no path, no trailing slash, other letters than ASCII as a browser sends "
    "them (xn--…)";

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same(std::string_view lower_case, std::string_view other) noexcept {
  return std::equal(lower_case.begin(), lower_case.end(), other.begin(), other.end(),
                    [](char a, char b) { return a == lower(b); });
}

bool is_letter(char c) noexcept {
  return lower(c) >= 'a' && lower(c) <= 'z';
}
bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

// RFC 3986 section 3.1.
bool is_scheme(std::string_view text) noexcept {
  return !text.empty() && text.size() <= 64 && is_letter(text[0]) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return is_letter(c) || is_digit(c) || c == '+' || c == '-' || c == '.'; });
}

bool is_host(std::string_view text) noexcept {
  if (text.empty() || text.size() > 253) return false;
  if (text.front() == '[') {
    return text.size() > 2 && text.back() == ']' && std::all_of(text.begin() + 1, text.end() - 1, [](char c) {
             return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'f') || c == ':' || c == '.';
           });
  }
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return is_letter(c) || is_digit(c) || c == '.' || c == '-' || c == '_';
  });
  return plain && text.front() != '.' && text.back() != '.' && text.find("..") == std::string_view::npos;
}

std::optional<std::uint16_t> port_of(std::string_view text) noexcept {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

// 0 = the scheme has none.
std::uint16_t default_port(std::string_view scheme) noexcept {
  if (same("https", scheme) || same("wss", scheme)) return 443;
  return same("http", scheme) || same("ws", scheme) ? 80 : 0;
}

struct Parts {
  std::string_view scheme;
  std::string_view host;
  std::string_view port;
  bool has_port = false;
};

// Nothing is checked but the order of the marks.
Parts split(std::string_view text) noexcept {
  Parts parts;
  const std::size_t mark = text.find("://");
  if (mark != std::string_view::npos) {
    parts.scheme = text.substr(0, mark);
    text.remove_prefix(mark + 3);
  }
  const std::size_t bracket = text.rfind(']');
  const std::size_t colon = text.find(':', bracket == std::string_view::npos ? 0 : bracket);
  parts.has_port = colon != std::string_view::npos;
  parts.host = text.substr(0, colon);
  if (parts.has_port) parts.port = text.substr(colon + 1);
  return parts;
}

}  // namespace

std::optional<OriginPattern> OriginPattern::compile(std::string_view text, std::string& why) {
  why = allowed;
  OriginPattern pattern;
  pattern.null_ = text == "null";
  if (!pattern.null_) {
    Parts parts = split(text);
    const bool says_scheme = text.find("://") != std::string_view::npos;
    if (says_scheme && !is_scheme(parts.scheme)) return std::nullopt;
    pattern.one_label_ = parts.host.starts_with("*.");
    if (pattern.one_label_) parts.host.remove_prefix(2);
    if (!is_host(parts.host) || (pattern.one_label_ && parts.host.front() == '[')) return std::nullopt;
    if (parts.has_port) {
      const auto port = port_of(parts.port);
      if (!port && parts.port != "*") return std::nullopt;
      pattern.port_kind_ = port ? Port::given : Port::any;
      pattern.port_ = port.value_or(0);
    }
    std::transform(parts.scheme.begin(), parts.scheme.end(), std::back_inserter(pattern.scheme_), lower);
    std::transform(parts.host.begin(), parts.host.end(), std::back_inserter(pattern.host_), lower);
  }
  why.clear();
  return pattern;
}

bool OriginPattern::matches(std::string_view origin) const noexcept {
  if (null_) return origin == "null";
  Parts parts = split(origin);
  if (!is_scheme(parts.scheme) || !is_host(parts.host)) return false;
  const auto told = parts.has_port ? port_of(parts.port) : std::optional<std::uint16_t>(0);
  if (!told) return false;
  const bool web = same("http", parts.scheme) || same("https", parts.scheme);
  if (scheme_.empty() ? !web : !same(scheme_, parts.scheme)) return false;
  if (port_kind_ != Port::any) {
    const std::uint16_t usual = default_port(parts.scheme);
    const std::uint16_t theirs = parts.has_port ? *told : usual;
    if (theirs != (port_kind_ == Port::given ? port_ : usual)) return false;
  }
  if (!one_label_) return same(host_, parts.host);
  const std::size_t dot = parts.host.find('.');
  return dot != std::string_view::npos && dot > 0 && same(host_, parts.host.substr(dot + 1));
}

}  // namespace holdfast::config
