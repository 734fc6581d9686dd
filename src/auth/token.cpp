#include "holdfast/auth/token.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "auth/base64url.hpp"
#include "auth/strict_json.hpp"

namespace holdfast::auth {

using config::JwtAlgorithm;
using metrics::TokenResult;
using nlohmann::json;

namespace {

constexpr std::size_t longest_field = 4096;
// The year 9999: what lies beyond is a mistake (milliseconds, mostly) or an attack on arithmetic.
constexpr double latest_second = 253'402'300'799.0;

struct Parts {
  std::string_view signed_text;  ///< header and payload with the dot between
  json header;
  std::string payload;
  std::string signature;
};

std::optional<Parts> split(std::string_view token) {
  const std::size_t first = token.find('.');
  const std::size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  const auto header = decode_base64url(token.substr(0, first));
  auto payload = decode_base64url(token.substr(first + 1, second - first - 1));
  auto signature = decode_base64url(token.substr(second + 1));  // a third dot is no digit
  if (!header || !payload || !signature) return std::nullopt;
  auto object = parse_object(*header);
  if (!object) return std::nullopt;
  return Parts{token.substr(0, second), *std::move(object), *std::move(payload), *std::move(signature)};
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

// Other kinds of signed objects (logout, proof of possession, …) are no access tokens (RFC 8725
// section 3.11).
bool is_of_our_kind(const json& header) {
  if (header.contains("crit")) return false;  // extensions that we don't know must not be passed over
  const auto type = header.find("typ");
  if (type == header.end()) return true;
  if (!type->is_string()) return false;
  std::string_view name = type->get_ref<const std::string&>();
  if (constexpr std::string_view prefix = "application/";
      equal_ignoring_case(name.substr(0, prefix.size()), prefix))
    name.remove_prefix(prefix.size());
  return equal_ignoring_case(name, "jwt") || equal_ignoring_case(name, "at+jwt");
}

std::optional<JwtAlgorithm> algorithm_of(const json& header, const config::Jwt& rules) {
  const auto name = header.find("alg");
  if (name == header.end() || !name->is_string()) return std::nullopt;
  for (const JwtAlgorithm each : rules.algorithms) {
    if (name->get_ref<const std::string&>() == config::to_string(each)) return each;
  }
  return std::nullopt;
}

// A key without an id may be of any token, a token without an id of any key.
bool may_be_of(const Key& key, JwtAlgorithm algorithm, const std::optional<std::string>& id) {
  return key.algorithm() == algorithm && (!id || key.id().empty() || key.id() == *id);
}

TokenResult verify(const Parts& parts, const config::Jwt& rules, const KeySet& keys) {
  if (!is_of_our_kind(parts.header)) return TokenResult::malformed;
  const auto algorithm = algorithm_of(parts.header, rules);
  if (!algorithm) return TokenResult::algorithm;
  std::optional<std::string> id;
  if (const auto named = parts.header.find("kid"); named != parts.header.end()) {
    if (!named->is_string()) return TokenResult::malformed;
    id = named->get<std::string>();
  }
  TokenResult result = TokenResult::unknown_key;
  for (const Key& key : keys.keys()) {
    if (!may_be_of(key, *algorithm, id)) continue;
    if (key.verifies(parts.signed_text, parts.signature)) return TokenResult::accepted;
    result = TokenResult::bad_signature;
  }
  return result;
}

// A NumericDate: seconds, perhaps with a fraction. False: it is there and is none.
bool read_time(const json& claims, const char* name, std::optional<WallTime>& out) {
  const auto found = claims.find(name);
  if (found == claims.end()) return true;
  if (!found->is_number()) return false;
  const double seconds = found->get<double>();
  if (!(seconds >= 0 && seconds <= latest_second)) return false;
  out = WallTime(std::chrono::milliseconds(static_cast<std::int64_t>(std::floor(seconds * 1000))));
  return true;
}

TokenResult check_times(const json& claims, const config::Jwt& rules, WallTime now, Grant& grant) {
  std::optional<WallTime> expires;
  std::optional<WallTime> begins;
  std::optional<WallTime> issued;
  const bool readable = read_time(claims, "exp", expires) && read_time(claims, "nbf", begins) &&
                        read_time(claims, "iat", issued);
  if (!readable) return TokenResult::malformed;
  if (!expires && rules.require_exp == config::Jwt::Expiry::required) return TokenResult::no_expiry;
  if (expires) grant.until = *expires + rules.leeway;
  if (grant.until && now >= *grant.until) return TokenResult::expired;
  const bool too_early = (begins && now + rules.leeway < *begins) || (issued && now + rules.leeway < *issued);
  return too_early ? TokenResult::not_yet_valid : TokenResult::accepted;
}

TokenResult check_parties(const json& claims, const config::Jwt& rules) {
  const auto is = [](const json& value, const std::string& text) {
    return value.is_string() && value == text;
  };
  if (!rules.issuer.empty()) {
    const auto issuer = claims.find("iss");
    if (issuer == claims.end() || !is(*issuer, rules.issuer)) return TokenResult::issuer;
  }
  if (rules.audience.empty()) return TokenResult::accepted;
  const auto audience = claims.find("aud");
  if (audience == claims.end()) return TokenResult::audience;
  const bool meant = std::ranges::any_of(rules.audience, [&](const std::string& one) {
    if (!audience->is_array()) return is(*audience, one);
    return std::ranges::any_of(*audience, [&](const json& each) { return is(each, one); });
  });
  return meant ? TokenResult::accepted : TokenResult::audience;
}

// "sub", or behind a slash the way into objects and lists (RFC 6901). Null when there is none.
const json* find_claim(const json& claims, std::string_view name) {
  if (!name.starts_with('/')) {
    const auto found = claims.find(std::string(name));
    return found == claims.end() ? nullptr : &*found;
  }
  const json* place = &claims;
  while (!name.empty()) {
    name.remove_prefix(1);
    const std::size_t end = std::min(name.find('/'), name.size());
    std::string step;
    for (std::size_t at = 0; at < end; ++at) {
      const bool escaped = name[at] == '~' && at + 1 < end;
      step += escaped ? (name[++at] == '1' ? '/' : '~') : name[at];
    }
    name.remove_prefix(end);
    const auto index = step.size() == 1 ? static_cast<std::size_t>(step[0] - '0') : std::string::npos;
    if (place->is_array() && index < 10 && index < place->size()) {
      place = &(*place)[index];
      continue;
    }
    if (!place->is_object()) return nullptr;
    const auto found = place->find(step);
    if (found == place->end()) return nullptr;
    place = &*found;
  }
  return place;
}

// Nothing for what has no one text.
std::optional<std::string> text_of(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number() || value.is_boolean()) return value.dump();
  if (!value.is_array()) return std::nullopt;
  std::string joined;
  for (const json& each : value) {
    const auto text = each.is_array() ? std::nullopt : text_of(each);
    // With a comma in it, one could pass for two.
    if (!text || text->find(',') != std::string::npos) return std::nullopt;
    if (&each != &value.front()) joined += ",";
    joined += *text;
  }
  return joined;
}

// Blanks at the ends would be cut off by whoever reads the field, which makes another value of it.
bool may_be_a_field(std::string_view text) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; };
  return text.size() <= longest_field && std::ranges::none_of(text, is_control) && !text.starts_with(' ') &&
         !text.ends_with(' ');
}

TokenResult take_fields(const json& claims, const config::Jwt& rules, Grant& grant) {
  for (const auto& [claim, field] : rules.claims_to_headers) {
    const json* value = find_claim(claims, claim);
    if (value == nullptr || value->is_null()) continue;
    auto text = text_of(*value);
    if (!text || !may_be_a_field(*text)) return TokenResult::claims;
    if (!text->empty()) grant.fields.emplace_back(field, *std::move(text));
  }
  return TokenResult::accepted;
}

TokenResult judge_claims(const json& claims, const config::Jwt& rules, WallTime now, Grant& grant) {
  if (const auto result = check_times(claims, rules, now, grant); result != TokenResult::accepted)
    return result;
  if (const auto result = check_parties(claims, rules); result != TokenResult::accepted) return result;
  return take_fields(claims, rules, grant);
}

}  // namespace

TokenVerdict judge_token(std::string_view token, const config::Jwt& rules, const KeySet& keys, WallTime now) {
  const auto parts = split(token);
  if (!parts) return {TokenResult::malformed, {}};
  if (const TokenResult result = verify(*parts, rules, keys); result != TokenResult::accepted)
    return {result, {}};
  const auto claims = parse_object(parts->payload);
  if (!claims) return {TokenResult::malformed, {}};
  TokenVerdict verdict;
  verdict.result = judge_claims(*claims, rules, now, verdict.grant);
  if (verdict.result != TokenResult::accepted) verdict.grant = {};
  return verdict;
}

}  // namespace holdfast::auth
