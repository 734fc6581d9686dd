#include "holdfast/auth/credentials.hpp"

#include <algorithm>
#include <optional>

namespace holdfast::auth {

using config::TokenPlace;
using metrics::TokenResult;

namespace {

constexpr std::string_view subprotocol_prefix = "access_token.";

bool begins_ignoring_case(std::string_view text, std::string_view lower_case_prefix) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return text.size() >= lower_case_prefix.size() &&
         std::ranges::equal(text.substr(0, lower_case_prefix.size()), lower_case_prefix, {}, lower);
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// What stands behind "Bearer"; nothing for other schemes.
std::optional<std::string_view> behind_bearer(std::string_view value) {
  constexpr std::string_view scheme = "bearer ";
  if (!begins_ignoring_case(value, scheme)) return std::nullopt;
  return trimmed(value.substr(scheme.size()));
}

std::string_view field_of(const TokenPlace& place) {
  return place.name.empty() ? "Authorization" : std::string_view(place.name);
}

std::string_view token_in_field(const TokenPlace& place, std::string_view value) {
  if (const auto token = behind_bearer(value)) return *token;
  return place.name.empty() ? std::string_view() : value;
}

// Each part of `list` between separators. `take(whole part)`.
template <class Take>
void for_each_part(std::string_view list, char separator, Take take) {
  while (true) {
    const std::size_t end = std::min(list.find(separator), list.size());
    take(list.substr(0, end));
    if (end == list.size()) return;
    list.remove_prefix(end + 1);
  }
}

// "name=value" → value, if it has that name.
std::optional<std::string_view> value_of(std::string_view pair, std::string_view name) {
  const std::size_t equals = pair.find('=');
  if (equals == std::string_view::npos || pair.substr(0, equals) != name) return std::nullopt;
  return pair.substr(equals + 1);
}

std::optional<std::string_view> cookie_value(std::string_view pair, std::string_view name) {
  auto value = value_of(trimmed(pair), name);
  if (!value) return std::nullopt;
  const bool quoted = value->size() >= 2 && value->front() == '"' && value->back() == '"';
  return quoted ? value->substr(1, value->size() - 2) : *value;
}

std::vector<std::string> tokens_at(const TokenPlace& place, const ws::RequestHead& head,
                                   const ws::ClientHandshake& request) {
  std::vector<std::string> found;
  const auto add = [&](std::optional<std::string_view> value) {
    if (value && !value->empty() && std::ranges::find(found, *value) == found.end())
      found.emplace_back(*value);
  };
  switch (place.kind) {
    case TokenPlace::Kind::header:
      for (const std::string_view value : head.values(field_of(place))) add(token_in_field(place, value));
      break;
    case TokenPlace::Kind::cookie:
      for (const std::string_view value : head.values("Cookie"))
        for_each_part(value, ';', [&](std::string_view part) { add(cookie_value(part, place.name)); });
      break;
    case TokenPlace::Kind::query:
      for_each_part(request.query, '&', [&](std::string_view part) { add(value_of(part, place.name)); });
      break;
    case TokenPlace::Kind::subprotocol:
      for (const std::string& token : part_subprotocols(request.subprotocols).tokens) add(token);
      break;
  }
  return found;
}

bool is_query_of_a_token(std::string_view part, const std::vector<TokenPlace>& from) {
  return std::ranges::any_of(from, [part](const TokenPlace& place) {
    return place.kind == TokenPlace::Kind::query && (value_of(part, place.name) || part == place.name);
  });
}

bool is_cookie_of_a_token(std::string_view part, const std::vector<TokenPlace>& from) {
  return std::ranges::any_of(from, [part](const TokenPlace& place) {
    return place.kind == TokenPlace::Kind::cookie && cookie_value(part, place.name);
  });
}

bool has_kind(const std::vector<TokenPlace>& from, TokenPlace::Kind kind) {
  return std::ranges::find(from, kind, &TokenPlace::kind) != from.end();
}

void strip_query(const ws::ClientHandshake& request, const std::vector<TokenPlace>& from, ws::Edits& edits) {
  std::string rest;
  for_each_part(request.query, '&', [&](std::string_view part) {
    if (is_query_of_a_token(part, from)) return;
    if (!rest.empty()) rest += '&';
    rest += part;
  });
  if (rest.size() == request.query.size()) return;
  edits.target = request.path + (rest.empty() ? "" : "?") + rest;
}

void strip_cookies(const ws::RequestHead& head, const std::vector<TokenPlace>& from, ws::Edits& edits) {
  std::string rest;
  bool stripped = false;
  for (const std::string_view value : head.values("Cookie")) {
    for_each_part(value, ';', [&](std::string_view part) {
      if (is_cookie_of_a_token(part, from)) {
        stripped = true;
      } else if (!trimmed(part).empty()) {
        rest.append(rest.empty() ? "" : "; ").append(trimmed(part));
      }
    });
  }
  if (!stripped) return;
  edits.withheld.emplace_back("Cookie");
  if (!rest.empty()) edits.granted.push_back({"Cookie", std::move(rest)});
}

}  // namespace

FoundToken find_token(const ws::RequestHead& head, const ws::ClientHandshake& request,
                      const std::vector<TokenPlace>& from) {
  for (const TokenPlace& place : from) {
    std::vector<std::string> found = tokens_at(place, head, request);
    if (found.size() > 1) return {TokenResult::ambiguous, {}};
    if (!found.empty()) return {TokenResult::accepted, std::move(found.front())};
  }
  return {};
}

Subprotocols part_subprotocols(const std::vector<std::string>& offered) {
  Subprotocols parts;
  for (std::size_t n = 0; n < offered.size(); ++n) {
    const std::string& name = offered[n];
    const bool is_bearer = name.size() == 6 && begins_ignoring_case(name, "bearer") && n + 1 < offered.size();
    if (is_bearer) {
      parts.bearer = name;
      parts.tokens.push_back(offered[++n]);
    } else if (name.starts_with(subprotocol_prefix)) {
      parts.tokens.push_back(name.substr(subprotocol_prefix.size()));
    } else {
      parts.others.push_back(name);
    }
  }
  return parts;
}

void strip_tokens(const ws::RequestHead& head, const ws::ClientHandshake& request,
                  const std::vector<TokenPlace>& from, ws::Edits& edits) {
  for (const TokenPlace& place : from) {
    if (place.kind != TokenPlace::Kind::header) continue;
    const auto has_token = [&](std::string_view value) { return !token_in_field(place, value).empty(); };
    if (std::ranges::any_of(head.values(field_of(place)), has_token))
      edits.withheld.emplace_back(field_of(place));
  }
  if (has_kind(from, TokenPlace::Kind::query)) strip_query(request, from, edits);
  if (has_kind(from, TokenPlace::Kind::cookie)) strip_cookies(head, from, edits);
}

}  // namespace holdfast::auth
