#include "holdfast/config/auth.hpp"

#include <algorithm>
#include <array>

#include "config/text_checks.hpp"
#include "config/words.hpp"

namespace holdfast::config {

namespace {

constexpr std::array<std::string_view, 4> kinds{"header", "cookie", "query", "subprotocol"};

std::string default_port(ForwardAuth::Scheme scheme) {
  return scheme == ForwardAuth::Scheme::https ? ":443" : ":80";
}

bool has_port(std::string_view authority) {
  const std::size_t bracket = authority.rfind(']');
  const std::size_t colon = authority.rfind(':');
  return colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
}

}  // namespace

std::string_view to_string(JwtAlgorithm value) noexcept {
  return jwt_algorithm_words[static_cast<std::size_t>(value)];
}

std::optional<TokenPlace> parse_token_place(std::string_view text, std::string& why) {
  const std::size_t colon = text.find(':');
  const auto kind = std::ranges::find(kinds, text.substr(0, colon));
  const std::string name(colon == std::string_view::npos ? "" : text.substr(colon + 1));
  TokenPlace place{static_cast<TokenPlace::Kind>(kind - kinds.begin()), name};
  const bool needs_name = place.kind == TokenPlace::Kind::cookie || place.kind == TokenPlace::Kind::query;
  const bool takes_name = needs_name || place.kind == TokenPlace::Kind::header;
  const bool has_name = colon != std::string_view::npos;
  const bool named_right =
      has_name ? takes_name && check_subprotocol(name).empty() && !name.empty() : !needs_name;
  if (kind != kinds.end() && named_right) return place;
  why = "must be \"header\", \"header:NAME\", \"cookie:NAME\", \"query:NAME\" or \"subprotocol\"";
  return std::nullopt;
}

std::string to_text(const TokenPlace& place) {
  std::string text(kinds[static_cast<std::size_t>(place.kind)]);
  if (!place.name.empty()) text += ":" + place.name;
  return text;
}

std::string parse_url(const std::string& text, ForwardAuth& out) {
  constexpr std::string_view http = "http://";
  constexpr std::string_view https = "https://";
  const bool secure = text.starts_with(https);
  const std::string allowed =
      "must be a URL such as \"http://127.0.0.1:9000/verify\" or \"https://auth.example.com/\"";
  if (!secure && !text.starts_with(http)) return allowed;
  const std::string_view rest = std::string_view(text).substr(secure ? https.size() : http.size());
  const std::size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  const std::string authority(rest.substr(0, end));
  std::string target(rest.substr(end));
  if (target.empty()) target = "/";
  if (!check_request_path(target).empty() || authority.empty()) return allowed;
  const auto scheme = secure ? ForwardAuth::Scheme::https : ForwardAuth::Scheme::http;
  std::string why;
  auto address =
      parse_address(authority + (has_port(authority) ? "" : default_port(scheme)), AddressUse::backend, why);
  if (!address || address->kind != AddressKind::tcp || authority.find('@') != std::string::npos)
    return allowed;
  out.url = text;
  out.scheme = scheme;
  out.address = *std::move(address);
  out.host = authority;
  out.target = std::move(target);
  return {};
}

std::string summary(const Auth& auth) {
  std::string text;
  if (auth.jwt) {
    text = "a token (";
    for (std::size_t n = 0; n < auth.jwt->algorithms.size(); ++n)
      text += (n == 0 ? "" : ", ") + std::string(to_string(auth.jwt->algorithms[n]));
    for (std::size_t n = 0; n < auth.jwt->from.size(); ++n)
      text += (n == 0 ? "; " : ", ") + to_text(auth.jwt->from[n]);
    text += ")";
  }
  if (auth.forward_auth) text += (text.empty() ? "" : " and ") + auth.forward_auth->url;
  return text;
}

}  // namespace holdfast::config
