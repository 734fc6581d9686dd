// What makes a token good or bad, as tables; and the examples of RFC 7515.
#include "holdfast/auth/token.hpp"

#include <doctest/doctest.h>
#include <openssl/err.h>

#include "unit/auth/signed.hpp"

namespace holdfast::auth::test {
namespace {

using config::Jwt;
using config::JwtAlgorithm;
using metrics::TokenResult;

TokenVerdict judge(std::string_view token, const Jwt& jwt = rules()) {
  return judge_token(token, jwt, KeySet::create(jwt).value(), now);
}

TokenResult result_of(std::string_view payload, const Jwt& jwt = rules()) {
  return judge(sign(plain_header, payload), jwt).result;
}

// Doctest shows the word.
std::string said(TokenResult result) {
  return std::string(metrics::text(result));
}

// ------------------------------------------------------------------------- RFC 7515, appendices A.1 to A.3

constexpr std::string_view hmac_key =
    R"({"keys":[{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}]})";
constexpr std::string_view hmac_token =
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
    "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
constexpr std::string_view rsa_key =
    R"({"keys":[{"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}]})";
constexpr std::string_view rsa_token =
    "eyJhbGciOiJSUzI1NiJ9."
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"
    "O8W2Fp5jujGbds9uJdbF9CU"
    "Ar7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_"
    "eSN9383LcOLn6_d"
    "O--xi12jzDwusC-"
    "eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig"
    "cN_IoypGlUPQGe77Rw";
constexpr std::string_view ec_key =
    R"({"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]})";
constexpr std::string_view ec_token =
    "eyJhbGciOiJFUzI1NiJ9."
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

struct Example {
  JwtAlgorithm algorithm;
  std::string_view keys;
  std::string_view token;
};
constexpr Example examples[] = {{JwtAlgorithm::hs256, hmac_key, hmac_token},
                                {JwtAlgorithm::rs256, rsa_key, rsa_token},
                                {JwtAlgorithm::es256, ec_key, ec_token}};

Jwt rules_of(const Example& example) {
  Jwt jwt;
  jwt.keys = example.keys;
  jwt.algorithms = {example.algorithm};
  return jwt;
}

TEST_CASE("the examples of RFC 7515 are good until they expire") {
  const WallTime exp{std::chrono::seconds(1'300'819'380)};
  for (const Example& example : examples) {
    CAPTURE(example.token);
    const Jwt jwt = rules_of(example);
    const KeySet keys = KeySet::create(jwt).value();
    const TokenVerdict good = judge_token(example.token, jwt, keys, exp);
    CHECK(said(good.result) == "accepted");
    REQUIRE(good.grant.until);
    CHECK(*good.grant.until == exp + jwt.leeway);
    const auto last = exp + jwt.leeway - Milliseconds(1);
    CHECK(said(judge_token(example.token, jwt, keys, last).result) == "accepted");
    CHECK(said(judge_token(example.token, jwt, keys, exp + jwt.leeway).result) == "expired");
  }
}

TEST_CASE("not a single changed character passes") {
  for (const Example& example : examples) {
    const Jwt jwt = rules_of(example);
    const KeySet keys = KeySet::create(jwt).value();
    for (std::size_t at = 0; at < example.token.size(); ++at) {
      std::string changed(example.token);
      changed[at] = changed[at] == 'A' ? 'B' : 'A';
      CAPTURE(changed);
      CHECK(judge_token(changed, jwt, keys, WallTime{std::chrono::seconds(1)}).result !=
            TokenResult::accepted);
      CHECK(ERR_peek_error() == 0);  // the TLS legs of this thread would stumble over it
    }
    for (std::size_t size = 0; size < example.token.size(); ++size) {
      const auto cut = example.token.substr(0, size);
      CHECK(judge_token(cut, jwt, keys, WallTime{std::chrono::seconds(1)}).result != TokenResult::accepted);
    }
  }
}

TEST_CASE("a key is never used for another algorithm than its own") {
  // All three keys and all three algorithms are allowed; yet the RSA key's text is no HMAC secret.
  Jwt jwt;
  jwt.algorithms = {JwtAlgorithm::hs256, JwtAlgorithm::rs256, JwtAlgorithm::es256};
  jwt.keys = rsa_key;
  CHECK(said(judge(sign(plain_header, "{}", rsa_key), jwt).result) == "unknown_key");
  // Listed is what counts, not what there are keys for.
  jwt.algorithms = {JwtAlgorithm::rs256};
  CHECK(said(judge(sign(plain_header, "{}", rsa_key), jwt).result) == "algorithm");
}

// ------------------------------------------------------------------------------------------------- headers

TEST_CASE("headers that are refused") {
  const struct {
    std::string_view header;
    std::string_view result;
  } table[] = {{R"({"alg":"HS256"})", "accepted"},
               {R"({"alg":"HS256","typ":"JWT"})", "accepted"},
               {R"({"alg":"HS256","typ":"at+jwt"})", "accepted"},
               {R"({"alg":"HS256","typ":"application/at+JWT"})", "accepted"},
               {R"({"alg":"HS256","kid":"whatever"})", "accepted"},  // the secret has no id
               {R"({"alg":"none"})", "algorithm"},
               {R"({"alg":"None"})", "algorithm"},
               {R"({"alg":"hs256"})", "algorithm"},
               {R"({"alg":"HS512"})", "algorithm"},
               {R"({"alg":["HS256"]})", "algorithm"},
               {R"({})", "algorithm"},
               {R"({"alg":"HS256","alg":"HS256"})", "malformed"},
               {R"({"alg":"none","alg":"HS256"})", "malformed"},
               {R"({"alg":"HS256","crit":["exp"]})", "malformed"},
               {R"({"alg":"HS256","typ":"dpop+jwt"})", "malformed"},
               {R"({"alg":"HS256","typ":7})", "malformed"},
               {R"({"alg":"HS256","kid":7})", "malformed"},
               {R"(["HS256"])", "malformed"},
               {R"("HS256")", "malformed"},
               {R"({"alg":"HS256"}x)", "malformed"},
               {"", "malformed"}};
  for (const auto& row : table) {
    CAPTURE(row.header);
    CHECK(said(judge(sign(row.header, R"({"exp":1700000001})")).result) == row.result);
  }
}

TEST_CASE("texts that are no JWS in compact form") {
  const std::string good = sign(plain_header, R"({"exp":1700000001})");
  REQUIRE(judge(good).result == TokenResult::accepted);
  for (const std::string& bad : {std::string(), std::string("."), std::string(".."), std::string("..."),
                                 good + ".", "." + good, good + "=", good + " ", " " + good, good + "\n",
                                 good + ".e30.e30", good.substr(0, good.rfind('.'))}) {
    CAPTURE(bad);
    CHECK(said(judge(bad).result) == "malformed");
  }
  CHECK(said(judge(good.substr(0, good.rfind('.') + 1)).result) == "bad_signature");
}

TEST_CASE("two spellings of one signature are not both good") {
  // 32 bytes end in a digit with two spare bits; decoders that don't look at them take four texts for one.
  const std::string good = sign(plain_header, R"({"exp":1700000001})");
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const std::size_t last = digits.find(good.back());
  REQUIRE(last % 4 == 0);
  for (std::size_t spare = 1; spare < 4; ++spare) {
    std::string other = good;
    other.back() = digits[last + spare];
    CHECK(said(judge(other).result) == "malformed");
  }
}

// -------------------------------------------------------------------------------------------------- claims

TEST_CASE("times: leeway, fractions, ranges") {
  const struct {
    std::string_view payload;
    std::string_view result;
  } table[] = {{R"({"exp":1700000001})", "accepted"},
               {R"({"exp":1699999991})", "accepted"},  // 9 s ago, the leeway is 10 s
               {R"({"exp":1699999990})", "expired"},
               {R"({"exp":1699999990.5})", "accepted"},
               {R"({"exp":0})", "expired"},
               {R"({"exp":-1})", "malformed"},
               {R"({"exp":1e300})", "malformed"},
               {R"({"exp":1e400})", "malformed"},
               {R"({"exp":1700000001000000})", "malformed"},  // microseconds
               {R"({"exp":18446744073709551615})", "malformed"},
               {R"({"exp":"1700000001"})", "malformed"},
               {R"({"exp":null})", "malformed"},
               {R"({"exp":253402300799})", "accepted"},
               {R"({})", "no_expiry"},
               {R"({"exp":1700000060,"nbf":1700000010})", "accepted"},
               {R"({"exp":1700000060,"nbf":1700000011})", "not_yet_valid"},
               {R"({"exp":1700000060,"iat":1700000011})", "not_yet_valid"},
               {R"({"exp":1700000060,"iat":"today"})", "malformed"},
               {R"({"exp":1700000060,"exp":1700000060})", "malformed"},
               {R"([1700000060])", "malformed"},
               {R"({"exp":1700000060} )", "accepted"},
               {R"({"exp":1700000060}})", "malformed"}};
  for (const auto& row : table) {
    CAPTURE(row.payload);
    CHECK(said(result_of(row.payload)) == row.result);
  }
  Jwt lenient = rules();
  lenient.require_exp = Jwt::Expiry::optional;
  const TokenVerdict for_ever = judge(sign(plain_header, "{}"), lenient);
  CHECK(said(for_ever.result) == "accepted");
  CHECK(!for_ever.grant.until);
}

TEST_CASE("issuer and audience") {
  Jwt jwt = rules();
  jwt.issuer = "https://me/";
  jwt.audience = {"chat", "mail"};
  const struct {
    std::string_view parties;
    std::string_view result;
  } table[] = {{R"("iss":"https://me/","aud":"chat")", "accepted"},
               {R"("iss":"https://me/","aud":["x","mail"])", "accepted"},
               {R"("iss":"https://me","aud":"chat")", "issuer"},
               {R"("iss":["https://me/"],"aud":"chat")", "issuer"},
               {R"("aud":"chat")", "issuer"},
               {R"("iss":"https://me/")", "audience"},
               {R"("iss":"https://me/","aud":"chatroom")", "audience"},
               {R"("iss":"https://me/","aud":[["chat"]])", "audience"},
               {R"("iss":"https://me/","aud":{"chat":"chat"})", "audience"}};
  for (const auto& row : table) {
    CAPTURE(row.parties);
    CHECK(said(result_of(R"({"exp":1700000060,)" + std::string(row.parties) + "}", jwt)) == row.result);
  }
}

TEST_CASE("claims become texts that can stand in a field, or the token is refused") {
  const struct {
    std::string_view value;
    std::string_view text;  ///< "-" = no field, "!" = refused
  } table[] = {
      {R"("ann")", "ann"},   {"7", "7"},          {"true", "true"},    {R"(["a","b",3])", "a,b,3"},
      {"null", "-"},         {R"("")", "-"},      {"[]", "-"},         {R"("J\u00f6rg")", "J\xc3\xb6rg"},
      {R"("a b")", "a b"},   {R"(" ann")", "!"},  {R"("ann ")", "!"},  {R"("a\r\nX-Admin: 1")", "!"},
      {R"("a\u0000")", "!"}, {R"("a\tb")", "!"},  {R"(["a,b"])", "!"}, {R"([["a"]])", "!"},
      {R"({"a":1})", "!"},   {R"("\u007f")", "!"}};
  Jwt jwt = rules();
  jwt.claims_to_headers = {{"sub", "X-User"}};
  for (const auto& row : table) {
    CAPTURE(row.value);
    const auto verdict =
        judge(sign(plain_header, R"({"exp":1700000060,"sub":)" + std::string(row.value) + "}"), jwt);
    CHECK(said(verdict.result) == (row.text == "!" ? "claims" : "accepted"));
    REQUIRE(verdict.grant.fields.size() == (row.text == "!" || row.text == "-" ? 0U : 1U));
    if (!verdict.grant.fields.empty())
      CHECK(verdict.grant.fields[0] == std::pair<std::string, std::string>("X-User", row.text));
  }
  CHECK(said(result_of(R"({"exp":1700000060,"sub":")" + std::string(4097, 'a') + "\"}", jwt)) == "claims");
  CHECK(said(result_of(R"({"exp":1700000060})", jwt)) == "accepted");
}

TEST_CASE("a JSON pointer reaches into claims") {
  Jwt jwt = rules();
  const struct {
    std::string_view name;
    std::string_view text;
  } table[] = {{"/a/b", "1"},           {"/a/x~1y", "2"}, {"/a/~0", "3"}, {"/l/1", "second"},
               {"https://x/role", "4"}, {"/a/none", ""},  {"/l/9", ""},   {"/l/-", ""},
               {"/l/01", ""},           {"/a/b/c", ""},   {"/", ""}};
  for (const auto& row : table) {
    CAPTURE(row.name);
    jwt.claims_to_headers = {{std::string(row.name), "X"}};
    const auto verdict = judge(
        sign(plain_header,
             R"({"exp":1700000060,"a":{"b":1,"x/y":2,"~":3},"l":["first","second"],"https://x/role":4})"),
        jwt);
    REQUIRE(said(verdict.result) == "accepted");
    CHECK((verdict.grant.fields.empty() ? "" : verdict.grant.fields[0].second) == row.text);
  }
}

TEST_CASE("what is nested deep is refused, not followed") {
  const auto nested = [](std::size_t depth) {
    return R"({"exp":1700000060,"x":)" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  CHECK(said(result_of(nested(15))) == "accepted");
  CHECK(said(result_of(nested(16))) == "malformed");
  CHECK(said(result_of(nested(6000))) == "malformed");
}

}  // namespace
}  // namespace holdfast::auth::test
