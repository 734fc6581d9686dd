// routes[].auth.
#include "holdfast/config/auth.hpp"

#include <doctest/doctest.h>

#include "holdfast/config/diff.hpp"
#include "unit/config/fake_world.hpp"

namespace holdfast::config::test {
namespace {

LoadResult load(const std::string& auth) {
  FakeWorld world;
  world.files = {{"/etc/holdfast/secret", "  0123456789abcdef0123456789abcdef\n"},
                 {"/etc/holdfast/short", "0123456789abcdef0123456789abcde\n"},
                 {"/etc/holdfast/keys", "{}"},
                 {"/etc/holdfast/ca", chain_pem}};
  return world.load(with(R"("routes": [{"name": "r", "auth": {)" + auth + "}}],"));
}

Auth loaded(const std::string& auth) {
  const LoadResult result = load(auth);
  REQUIRE_MESSAGE(result.config, check_report(result));
  return *result.config->routes.at(0).auth;
}

TEST_CASE("the defaults of jwt are the documented ones; algorithms follow from the keys") {
  const Jwt with_secret = *loaded(R"("jwt": {"secret_file": "secret"})").jwt;
  CHECK(with_secret.secret == "0123456789abcdef0123456789abcdef");
  CHECK(with_secret.algorithms == std::vector{JwtAlgorithm::hs256});
  CHECK(with_secret.from == std::vector<TokenPlace>{{}});
  CHECK(with_secret.leeway == std::chrono::seconds(10));
  CHECK(with_secret.at_expiry == 4401);
  const Jwt with_keys = *loaded(R"("jwt": {"keys_file": "keys"})").jwt;
  CHECK(with_keys.keys == "{}");
  CHECK(with_keys.keys_file == "/etc/holdfast/keys");
  CHECK(with_keys.algorithms == std::vector{JwtAlgorithm::rs256, JwtAlgorithm::es256});
}

TEST_CASE("every key of auth is taken as it is written") {
  const Auth auth = loaded(R"("jwt": {"keys_file": "keys", "algorithms": ["HS256", "ES256"],
      "from": ["header:X-T", "cookie:a", "query:b", "subprotocol"], "issuer": "me", "audience": ["x", "y"],
      "leeway": 0, "require_exp": false, "strip": true, "claims_to_headers": {"sub": "X-User", "/a/b": "X-B"},
      "at_expiry": "stay"},
      "forward_auth": {"url": "https://127.0.0.1:9443/a?b=c", "ca": "ca", "timeout": "300ms",
      "copy_headers": ["X-Plan"], "cache": "5s"})");
  const Jwt& jwt = *auth.jwt;
  CHECK(jwt.algorithms == std::vector{JwtAlgorithm::hs256, JwtAlgorithm::es256});
  std::string places;
  for (const TokenPlace& place : jwt.from) places += to_text(place) + " ";
  CHECK(places == "header:X-T cookie:a query:b subprotocol ");
  CHECK(jwt.issuer == "me");
  CHECK(jwt.audience == std::vector<std::string>{"x", "y"});
  CHECK(jwt.leeway.count() == 0);
  CHECK(jwt.require_exp == Jwt::Expiry::optional);
  CHECK(jwt.strip == Jwt::Token::stripped);
  CHECK(jwt.claims_to_headers.size() == 2);
  CHECK(jwt.at_expiry == Jwt::stay);
  const ForwardAuth& service = *auth.forward_auth;
  CHECK(service.scheme == ForwardAuth::Scheme::https);
  CHECK(service.host == "127.0.0.1:9443");
  CHECK(service.target == "/a?b=c");
  CHECK(service.address.sockets.size() == 1);
  CHECK(service.ca_pem == chain_pem);
  CHECK(service.timeout == milliseconds(300));
  CHECK(service.cache == milliseconds(5000));
  CHECK(
      summary(auth) ==
      "a token (HS256, ES256; header:X-T, cookie:a, query:b, subprotocol) and https://127.0.0.1:9443/a?b=c");
}

TEST_CASE("URLs: where they lead and what is asked there") {
  const struct {
    const char* url;
    const char* address;  ///< "" = refused
    const char* target;
  } table[] = {{"http://127.0.0.1", "127.0.0.1:80", "/"},
               {"https://[::1]", "[::1]:443", "/"},
               {"http://[::1]:81/x", "[::1]:81", "/x"},
               {"http://a.example?x=1", "", ""},
               {"http://a.example/?x=1", "a.example:80", "/?x=1"},
               {"http://a.example:0/", "", ""},
               {"http://a.example:x/", "", ""},
               {"http:///x", "", ""},
               {"http://u:p@a.example/", "", ""},
               {"http://a.example/#x", "", ""},
               {"http://a.example/a b", "", ""},
               {"unix:/x", "", ""},
               {"HTTP://a.example/", "", ""},
               {"a.example/", "", ""}};
  for (const auto& row : table) {
    CAPTURE(row.url);
    ForwardAuth service;
    CHECK(parse_url(row.url, service).empty() == (row.address[0] != '\0'));
    CHECK(service.address.text == row.address);
    CHECK(service.target == row.target);
  }
}

TEST_CASE("what is wrong with auth is told with its place and what is allowed") {
  const struct {
    const char* auth;
    const char* place;
    const char* what;
  } table[] = {
      {"", "", "is empty, must have jwt or forward_auth"},
      {R"("jwt": {})", "jwt", "must have keys_file or secret_file"},
      {R"("jwt": {"keys_file": "keys", "secret_file": "secret"})", "jwt", "only one of them is allowed"},
      {R"("jwt": {"secret_file": "short"})", "jwt.secret_file", "must hold at least 32 bytes"},
      {R"("jwt": {"secret_file": "none"})", "jwt.secret_file", "can't be read"},
      {R"("jwt": {"secret_file": "secret", "algorithms": ["HS256", "RS256"]})", "jwt.algorithms",
       "must be [\"HS256\"]"},
      {R"("jwt": {"secret_file": "secret", "algorithms": ["none"]})", "jwt.algorithms[0]", "must be one of"},
      {R"("jwt": {"secret_file": "secret", "from": []})", "jwt.from", "must be a list of 1 to 10"},
      {R"("jwt": {"secret_file": "secret", "from": ["cookie"]})", "jwt.from[0]", "\"cookie:NAME\""},
      {R"("jwt": {"secret_file": "secret", "from": ["subprotocol:x"]})", "jwt.from[0]", "\"subprotocol\""},
      {R"("jwt": {"secret_file": "secret", "at_expiry": 1000})", "jwt.at_expiry",
       "must be 1008, 3000-4999 or \"stay\""},
      {R"("jwt": {"secret_file": "secret", "at_expiry": 5000})", "jwt.at_expiry",
       "from 1000 to 4999 or \"stay\""},
      {R"("jwt": {"secret_file": "secret", "leeway": "1h"})", "jwt.leeway", "from 0"},
      {R"("jwt": {"secret_file": "secret", "claims_to_headers": {"a": "X-A", "b": "x_a"}})",
       "jwt.claims_to_headers.\"b\"", "which is given twice"},
      {R"("jwt": {"secret_file": "secret", "claims_to_headers": {"a": "X-Forwarded-For"}})",
       "jwt.claims_to_headers.\"a\"", "must not be a field"},
      {R"("jwt": {"secret_file": "secret", "claims_to_headers": {"/a~": "X-A"}})",
       "jwt.claims_to_headers.\"/a~\"", "JSON pointer"},
      {R"("forward_auth": {})", "forward_auth.url", "is missing"},
      {R"("forward_auth": {"url": "http://127.0.0.1/", "ca": "ca"})", "forward_auth.ca", "means nothing"},
      {R"("forward_auth": {"url": "http://127.0.0.1/", "cache": "1ms"})", "forward_auth.cache",
       "from 100ms to 5m or 0"},
      {R"("forward_auth": {"url": "http://127.0.0.1/", "copy_headers": ["X A"]})",
       "forward_auth.copy_headers[0]", "must have the name of a field"}};
  for (const auto& row : table) {
    CAPTURE(row.auth);
    const LoadResult result = load(row.auth);
    CHECK(!result.config);
    const std::string what =
        what_at(result, std::string("routes[0].auth") + (row.place[0] != '\0' ? "." : "") + row.place);
    CAPTURE(check_report(result));
    CHECK(contains(what, row.what));
  }
}

TEST_CASE("a changed key is a changed route") {
  Config old = *load(R"("jwt": {"secret_file": "secret"})").config;
  Config now = old;
  CHECK(diff(old, now).empty());
  now.routes[0].auth->jwt->secret += "x";
  CHECK(diff(old, now).at(0).sentence == "route r changed: auth");
}

}  // namespace
}  // namespace holdfast::config::test
