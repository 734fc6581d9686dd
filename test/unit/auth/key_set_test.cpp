// Which keys are taken, passed over, refused.
#include "holdfast/auth/key_set.hpp"

#include <doctest/doctest.h>
#include <openssl/err.h>

#include "unit/auth/signed.hpp"

namespace holdfast::auth::test {
namespace {

using config::Jwt;
using config::JwtAlgorithm;

Jwt with_keys(std::string keys) {
  Jwt jwt;
  jwt.keys = std::move(keys);
  jwt.algorithms = {JwtAlgorithm::hs256, JwtAlgorithm::rs256, JwtAlgorithm::es256};
  return jwt;
}

// The reason against them, "" if they are taken.
std::string refused(const std::string& keys) {
  const auto set = KeySet::create(with_keys(keys));
  CHECK(ERR_peek_error() == 0);
  return set ? "" : set.error().what;
}

std::size_t taken(const std::string& keys) {
  return KeySet::create(with_keys(keys)).value().keys().size();
}

const std::string good_oct = R"({"kty":"oct","k":")" + encode(std::string(32, 'k')) + "\"}";

std::string rsa(std::size_t bytes, const std::string& exponent = "AQAB") {
  std::string modulus(bytes, '\xff');  // odd, and the size is all that is looked at
  return R"({"kty":"RSA","n":")" + encode(modulus) + R"(","e":")" + exponent + "\"}";
}

std::string of(const std::string& key) {
  return R"({"keys":[)" + key + "]}";
}

TEST_CASE("sizes and shapes of keys") {
  const std::string point =
      R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":)";
  const struct {
    std::string keys;
    std::string why;
  } table[] = {
      {of(good_oct), ""},
      {of(R"({"kty":"oct","k":")" + encode(std::string(31, 'k')) + "\"}"),
       "keys[0]: its secret has 31 bytes, must be at least 32"},
      {of(good_oct + R"(,{"kty":"oct"})"), "keys[1]: its \"k\" must be base64url"},
      {of(rsa(256)), ""},
      {of(rsa(1024)), ""},
      {of(rsa(255)), "keys[0]: its RSA key has 2040 bits, must be 2048 to 8192"},
      {of(rsa(128)), "keys[0]: its RSA key has 1024 bits, must be 2048 to 8192"},
      {of(rsa(1025)), "keys[0]: its RSA key has 8200 bits, must be 2048 to 8192"},
      // With an exponent of 1 a signature is the padded digest itself.
      {of(rsa(256, "AQ")), "keys[0]: its RSA exponent must be odd, above 1 and of 64 bits at most"},
      {of(rsa(256, "Ag")), "keys[0]: its RSA exponent must be odd, above 1 and of 64 bits at most"},
      {of(rsa(256, "AQAAAAAAAAAB")), "keys[0]: its RSA exponent must be odd, above 1 and of 64 bits at most"},
      {of(R"({"kty":"RSA","e":"AQAB"})"),
       "keys[0]: its \"n\" and \"e\" must be base64url and make an RSA key"},
      {of(point + R"("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})"), ""},
      {of(point + R"("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a1"})"),
       "keys[0]: its \"x\" and \"y\" must be 32 bytes"},
      {of(point + R"("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a4"})"), "P-256"},  // not on the curve
      {of(point + R"("AA"})"), "keys[0]: its \"x\" and \"y\" must be 32 bytes"},
      {of("7"), "keys[0]: must be an object with a \"kty\""},
      {of(""), "has no key for any of the algorithms"},
      {"{}", "must have a list \"keys\""},
      {"[]", "must be a JSON object"},
      {"", "must be a JSON object"},
      {"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
       "has no key for any of the algorithms"}};
  for (const auto& row : table) {
    CAPTURE(row.keys);
    const std::string why = refused(row.keys);
    CAPTURE(why);
    CHECK((row.why.empty() ? why.empty() : why.find(row.why) != std::string::npos));
  }
}

TEST_CASE("keys for something else are passed over, also broken ones") {
  for (const std::string other :
       {R"({"kty":"OKP","crv":"Ed25519","x":"AA"})", R"({"kty":"EC","crv":"P-384","x":"AA","y":"AA"})",
        R"({"kty":"RSA","use":"enc","n":"AA","e":"AA"})", R"({"kty":"RSA","alg":"RS512","n":"AA","e":"AA"})",
        R"({"kty":"RSA","key_ops":["encrypt"],"n":"AA","e":"AA"})", R"({"kty":"new"})"}) {
    CAPTURE(other);
    CHECK(taken(of(other + "," + good_oct)) == 1);
  }
  Jwt only_public = with_keys(of(good_oct));
  only_public.algorithms = {JwtAlgorithm::rs256, JwtAlgorithm::es256};
  CHECK(KeySet::create(only_public).error().what == "has no key for any of the algorithms: RS256, ES256");
}

TEST_CASE("there is an end to the keys that one token may have us try") {
  std::string many = good_oct;
  for (std::size_t n = 1; n < KeySet::most_keys; ++n) many += "," + good_oct;
  CHECK(taken(of(many)) == KeySet::most_keys);
  CHECK(refused(of(many + "," + good_oct)) == "has more than 64 usable keys");
}

TEST_CASE("a token with a kid is only tried with that key and those without one") {
  const std::string other = "another secret that is long enough for it";
  const auto key = [](const std::string& bytes, const std::string& kid) {
    return R"({"kty":"oct","k":")" + encode(bytes) + "\"" + (kid.empty() ? "" : R"(,"kid":")" + kid + "\"") +
           "}";
  };
  const auto result = [&](const std::string& keys, const std::string& kid) {
    const Jwt jwt = with_keys(of(keys));
    const std::string header =
        kid.empty() ? std::string(plain_header) : R"({"alg":"HS256","kid":")" + kid + "\"}";
    const std::string token = sign(header, R"({"exp":1700000060})");
    return std::string(metrics::text(judge_token(token, jwt, KeySet::create(jwt).value(), now).result));
  };
  CHECK(result(key(other, "a") + "," + key(secret, "b"), "b") == "accepted");
  CHECK(result(key(other, "a") + "," + key(secret, "b"), "") == "accepted");
  CHECK(result(key(other, "a") + "," + key(secret, ""), "b") == "accepted");
  CHECK(result(key(other, "a") + "," + key(secret, "b"), "a") == "bad_signature");
  CHECK(result(key(other, "a") + "," + key(secret, "b"), "c") == "unknown_key");
  CHECK(result(key(other, "a") + "," + key(secret, "a"), "a") == "accepted");
}

}  // namespace
}  // namespace holdfast::auth::test
