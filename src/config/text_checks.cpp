#include "config/text_checks.hpp"

#include <algorithm>
#include <string_view>

#include "holdfast/config/match.hpp"

namespace holdfast::config {
namespace {

bool is_plain(char c) {
  const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return letter || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

// Visible ASCII without the space.
bool is_visible(char c) {
  return c > ' ' && c < 0x7f;
}

bool is_control(char c) {
  return static_cast<unsigned char>(c) < ' ' || c == 0x7f;
}

}  // namespace

std::string check_upstream_name(const std::string& text) {
  const bool good = !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), is_plain);
  return good ? "" : "must be 1 to 64 letters, digits, dots, underscores or hyphens";
}

std::string check_zone_name(const std::string& text) {
  const bool good = text.size() <= 64 && std::all_of(text.begin(), text.end(), is_plain);
  return good ? "" : "must be up to 64 letters, digits, dots, underscores or hyphens";
}

std::string check_cookie_name(const std::string& text) {
  const bool good = !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), is_plain);
  return good ? "" : "must be 1 to 64 letters, digits, dots, underscores or hyphens";
}

std::string check_listener_name(const std::string& text) {
  const bool good = !text.empty() && text.size() <= 128 && std::all_of(text.begin(), text.end(), is_visible);
  return good ? "" : "must be 1 to 128 visible ASCII characters without spaces";
}

std::string check_route_name(const std::string& text) {
  const bool good = !text.empty() && text.size() <= 255 && std::none_of(text.begin(), text.end(), is_control);
  return good ? "" : "must be 1 to 255 characters, none of them a control character";
}

std::string check_host_pattern(const std::string& text) {
  std::string why;
  if (!HostPattern::compile(text, why)) return why;
  return "";
}

std::string check_path_pattern(const std::string& text) {
  std::string why;
  if (!PathPattern::compile(text, why)) return why;
  return "";
}

std::string check_server_name(const std::string& text) {
  const bool good = text.size() <= 253 && std::all_of(text.begin(), text.end(), is_plain);
  return good ? "" : "must be a host name of letters, digits, dots, underscores and hyphens";
}

std::string check_request_path(const std::string& text) {
  const bool good = !text.empty() && text[0] == '/' && text.find('#') == std::string::npos &&
                    std::all_of(text.begin(), text.end(), is_visible);
  return good ? "" : "must begin with \"/\" and have no spaces, no \"#\" and no control characters";
}

std::string check_file(const std::string& text) {
  return text.empty() ? "must be a file name" : "";
}

}  // namespace holdfast::config
