#include "holdfast/config/auth.hpp"

#include <algorithm>
#include <array>

#include "config/text_checks.hpp"
#include "config/url.hpp"
#include "config/words.hpp"

namespace holdfast::config {

namespace {

constexpr std::array<std::string_view, 4> kinds{"header", "cookie", "query", "subprotocol"};

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
  auto parts = split_url(text, "http", "https");
  if (!parts)
    return "must be a URL such as \"http://127.0.0.1:9000/verify\" or \"https://auth.example.com/\"";
  out.url = text;
  out.scheme = parts->secure ? ForwardAuth::Scheme::https : ForwardAuth::Scheme::http;
  out.address = std::move(parts->address);
  out.host = std::move(parts->host);
  out.target = std::move(parts->target);
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
