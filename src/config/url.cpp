#include "config/url.hpp"

#include <algorithm>
#include <utility>

#include "config/text_checks.hpp"

namespace holdfast::config {

namespace {

bool has_port(std::string_view authority) {
  const std::size_t bracket = authority.rfind(']');
  const std::size_t colon = authority.rfind(':');
  return colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
}

bool take_prefix(std::string_view& text, std::string_view scheme) {
  constexpr std::string_view mark = "://";
  if (!text.starts_with(scheme) || !text.substr(scheme.size()).starts_with(mark)) return false;
  text.remove_prefix(scheme.size() + mark.size());
  return true;
}

}  // namespace

std::optional<UrlParts> split_url(std::string_view text, std::string_view plain_scheme,
                                  std::string_view secure_scheme) {
  UrlParts parts;
  parts.secure = take_prefix(text, secure_scheme);
  if (!parts.secure && !take_prefix(text, plain_scheme)) return std::nullopt;
  const std::size_t end = std::min(text.find_first_of("/?#"), text.size());
  parts.host = text.substr(0, end);
  parts.target = text.substr(end);
  if (parts.target.empty()) parts.target = "/";
  if (!check_request_path(parts.target).empty() || parts.host.empty()) return std::nullopt;
  if (parts.host.find('@') != std::string::npos) return std::nullopt;
  const std::string port = has_port(parts.host) ? "" : parts.secure ? ":443" : ":80";
  std::string why;
  auto address = parse_address(parts.host + port, AddressUse::backend, why);
  if (!address || address->kind != AddressKind::tcp) return std::nullopt;
  parts.address = *std::move(address);
  return parts;
}

}  // namespace holdfast::config
