#include "config/shape_auth.hpp"

#include "config/text_checks.hpp"
#include "config/words.hpp"

namespace holdfast::config {

namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;

void algorithms(Visitor& v, std::vector<JwtAlgorithm>& field) {
  std::vector<std::size_t> indices;
  v.choices({"algorithms"}, indices, words<JwtAlgorithm>());
  field.clear();
  for (const std::size_t index : indices) field.push_back(static_cast<JwtAlgorithm>(index));
}

void token_places(Visitor& v, std::vector<TokenPlace>& field) {
  std::vector<std::string> texts;
  std::vector<TokenPlace> places;
  v.texts({"from"}, texts, {1, 10}, [&](const std::string& text) {
    std::string why;
    if (auto place = parse_token_place(text, why)) places.push_back(*std::move(place));
    return why;
  });
  if (!places.empty()) field = std::move(places);
}

void jwt(Visitor& v, Jwt& j) {
  v.text({"keys_file"}, j.keys_file, check_file);
  v.text({"secret_file"}, j.secret_file, check_file);
  algorithms(v, j.algorithms);
  token_places(v, j.from);
  v.text({"issuer"}, j.issuer, check_claim_value);
  v.texts({"audience"}, j.audience, {0, 20}, check_claim_value);
  v.duration({"leeway"}, j.leeway, {milliseconds(0), minutes(10), Zero::within_range});
  bool required = j.require_exp == Jwt::Expiry::required;
  v.flag({"require_exp"}, required);
  j.require_exp = required ? Jwt::Expiry::required : Jwt::Expiry::optional;
  bool strips = j.strip == Jwt::Token::stripped;
  v.flag({"strip"}, strips);
  j.strip = strips ? Jwt::Token::stripped : Jwt::Token::passed_on;
  v.fields({"claims_to_headers"}, j.claims_to_headers, Jwt::most_claims, check_claim_name,
           check_granted_field);
  std::uint64_t code = j.at_expiry;
  v.number({"at_expiry"}, code, {1000, 4999, "stay"});
  j.at_expiry = static_cast<std::uint16_t>(code);
}

void forward_auth(Visitor& v, ForwardAuth& f) {
  v.text({"url", Presence::required}, f.url, [&](const std::string& text) { return parse_url(text, f); });
  v.text({"ca"}, f.ca, nullptr);
  v.duration({"timeout"}, f.timeout, {milliseconds(10), minutes(1), Zero::within_range});
  v.texts({"copy_headers"}, f.copy_headers, {0, ForwardAuth::most_headers}, check_granted_field);
  v.duration({"cache"}, f.cache, {milliseconds(100), minutes(5), Zero::means_off});
}

}  // namespace

void describe_auth(Visitor& v, Auth& auth) {
  v.object({"jwt"}, [&](Visitor& inner) { jwt(inner, auth.jwt.emplace()); });
  v.object({"forward_auth"}, [&](Visitor& inner) { forward_auth(inner, auth.forward_auth.emplace()); });
}

}  // namespace holdfast::config
