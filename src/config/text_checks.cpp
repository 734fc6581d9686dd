#include "config/text_checks.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "holdfast/config/expectation.hpp"
#include "holdfast/config/match.hpp"
#include "holdfast/config/probe.hpp"

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

// RFC 9110 section 5.6.2.
bool is_token(std::string_view text, std::size_t most) {
  constexpr std::string_view others = "!#$%&'*+-.^_`|~";
  const bool good = std::all_of(text.begin(), text.end(), [&](char c) {
    const bool plain = is_plain(c) && c != '.';
    return plain || others.find(c) != std::string_view::npos;
  });
  return good && !text.empty() && text.size() <= most;
}

}  // namespace

std::string check_upstream_name(const std::string& text) {
  const bool good = !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), is_plain);
  return good ? "" : "must be 1 to 64 letters, digits, dots, underscores or hyphens";
}

std::string check_feed_name(const std::string& text) {
  return check_upstream_name(text);
}

std::string check_channel_template(const std::string& text) {
  const bool good = text.size() <= 256 && std::all_of(text.begin(), text.end(), is_visible);
  if (!good) return "must be up to 256 visible ASCII characters, with \"$name\" for a route's \":name\"";
  // So that what each stands for can be told from the filled text.
  for (std::size_t at = text.find('$'); at != std::string::npos; at = text.find('$', at + 1)) {
    std::size_t end = at + 1;
    while (end < text.size() && is_plain(text[end]) && text[end] != '.' && text[end] != '-') ++end;
    if (end == at + 1) return "must have a name behind each \"$\"";
    if (end < text.size() && text[end] != '/') return "must have \"/\" or nothing behind each \"$name\"";
  }
  return "";
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

std::string check_dns_name(const std::string& text) {
  const bool good = !text.empty() && check_server_name(text).empty();
  return good ? "" : "must be a name of 1 to 253 letters, digits, dots, underscores and hyphens";
}

std::string check_request_path(const std::string& text) {
  const bool good = !text.empty() && text[0] == '/' && text.find('#') == std::string::npos &&
                    std::all_of(text.begin(), text.end(), is_visible);
  return good ? "" : "must begin with \"/\" and have no spaces, no \"#\" and no control characters";
}

std::string check_field_value(const std::string& text) {
  const bool good = text.size() <= 4096 &&
                    std::none_of(text.begin(), text.end(), [](char c) { return is_control(c) && c != '\t'; });
  return good ? "" : "must be up to 4096 bytes without control characters";
}

std::string check_probe_field(const std::string& text) {
  constexpr std::array<std::string_view, 9> ours{"connection",
                                                 "content-length",
                                                 "host",
                                                 "sec-websocket-key",
                                                 "sec-websocket-version",
                                                 "sec-websocket-protocol",
                                                 "transfer-encoding",
                                                 "upgrade",
                                                 "sec-websocket-extensions"};
  std::string lower = text;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  if (std::find(ours.begin(), ours.end(), lower) != ours.end())
    return "must not be a field that the probe writes itself";
  return is_token(text, 256) ? "" : "must have the name of a field: letters, digits and hyphens";
}

std::string check_method(const std::string& text) {
  const bool good = is_token(text, 32) && text != "CONNECT";
  return good ? "" : "must be an HTTP method such as \"GET\" or \"HEAD\", but not CONNECT";
}

std::string check_subprotocol(const std::string& text) {
  return text.empty() || is_token(text, 256) ? ""
                                             : "must be one subprotocol's name, without blanks and commas";
}

std::string check_status_ranges(const std::string& text) {
  std::string why;
  (void)parse_status_ranges(text, why);
  return why;
}

std::string check_expectation(const std::string& text) {
  std::string why = check_probe_text(text);
  if (why.empty()) (void)Expectation::compile(text, why);
  return why;
}

std::string check_probe_text(const std::string& text) {
  return text.size() <= Probe::most_text_bytes ? "" : "must not be longer than 4096 bytes";
}

std::string check_claim_value(const std::string& text) {
  const bool good =
      !text.empty() && text.size() <= 1024 && std::none_of(text.begin(), text.end(), is_control);
  return good ? "" : "must be 1 to 1024 bytes without control characters";
}

std::string check_claim_name(const std::string& text) {
  const bool good = !text.empty() && text.size() <= 256 && std::none_of(text.begin(), text.end(), is_control);
  if (!good) return "must name a claim: 1 to 256 bytes without control characters";
  if (text[0] != '/') return "";
  for (std::size_t at = text.find('~'); at != std::string::npos; at = text.find('~', at + 1)) {
    const bool escapes = at + 1 < text.size() && (text[at + 1] == '0' || text[at + 1] == '1');
    if (!escapes) return "must be a JSON pointer, since it begins with \"/\": \"~\" is written \"~0\" there";
  }
  return "";
}

std::string check_granted_field(const std::string& text) {
  constexpr std::array<std::string_view, 17> ours{"cookie",
                                                  "origin",
                                                  "connection",
                                                  "content_length",
                                                  "expect",
                                                  "forwarded",
                                                  "host",
                                                  "http2_settings",
                                                  "keep_alive",
                                                  "te",
                                                  "trailer",
                                                  "upgrade",
                                                  "transfer_encoding",
                                                  "proxy",
                                                  "x_forwarded_for",
                                                  "x_forwarded_proto",
                                                  "x_forwarded_host"};
  constexpr std::array<std::string_view, 3> families{"holdfast_", "proxy_", "sec_websocket_"};
  const std::string variable = as_variable(text);
  const bool taken =
      std::ranges::find(ours, variable) != ours.end() ||
      std::ranges::any_of(families, [&](std::string_view each) { return variable.starts_with(each); });
  if (taken) return "must not be a field that belongs to the handshake or that the proxy writes itself";
  return is_token(text, 128) ? "" : "must have the name of a field: letters, digits and hyphens, up to 128";
}

std::string as_variable(const std::string& field) {
  std::string out = field;
  std::ranges::transform(out, out.begin(), [](char c) {
    if (c == '-') return '_';
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return out;
}

std::string check_file(const std::string& text) {
  return text.empty() ? "must be a file name" : "";
}

}  // namespace holdfast::config
