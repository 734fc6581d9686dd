// What a handshake makes of verdicts and rulings. The asking itself: test/e2e.
#include "frontend/authorising.hpp"

#include <doctest/doctest.h>

#include "unit/auth/signed.hpp"

namespace holdfast::frontend::test {
namespace {

using auth::test::now;
using metrics::ForwardResult;
using metrics::HandshakeResult;

ws::RequestHead head_with(const std::string& fields) {
  return ws::RequestHead::parse(
             "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
             fields + "\r\n")
      .value();
}

struct Asked {
  std::optional<Refusal> refusal;
  Admission admission;
  ws::ClientHandshake request;
  metrics::AuthCells cells;
};

void ask(Asked& asked, const config::Jwt& jwt, const std::string& fields) {
  RouteAuth route;
  route.settings.jwt = jwt;
  route.keys = auth::KeySet::create(jwt).value();
  const ws::RequestHead head = head_with(fields);
  asked.request = ws::check_request(head).value();
  asked.refusal = check_token(route, asked.cells, head, asked.request, now, asked.admission);
}

std::string token(const std::string& claims = "") {
  return auth::test::sign(auth::test::plain_header, R"({"exp":1700000060)" + claims + "}");
}

TEST_CASE("a session lasts as long as its token, in tenths of seconds that are begun") {
  Admission admission;
  CHECK(token_lasts_100ms(admission, now) == 0);
  const std::pair<std::int64_t, std::uint32_t> table[] = {
      {0, 1}, {1, 1}, {100, 1}, {101, 2}, {60'000, 600}, {-5, 1}, {20LL * 365 * 86'400'000, UINT32_MAX}};
  for (const auto& [milliseconds, tenths] : table) {
    admission.until = now + Milliseconds(milliseconds);
    CHECK(token_lasts_100ms(admission, now) == tenths);
  }
}

TEST_CASE("what a token grants, and that names of claims are the proxy's whether there is a claim or not") {
  config::Jwt jwt = auth::test::rules();
  jwt.claims_to_headers = {{"sub", "X-User"}, {"role", "X-Role"}};
  Asked asked;
  ask(asked, jwt, "Authorization: Bearer " + token(R"(,"sub":"ann")") + "\r\n");
  REQUIRE(!asked.refusal);
  CHECK(*asked.admission.until == now + std::chrono::seconds(60) + jwt.leeway);
  CHECK(asked.admission.edits.withheld == std::vector<std::string>{"X-User", "X-Role"});
  REQUIRE(asked.admission.edits.granted.size() == 1);
  CHECK(asked.admission.edits.granted[0].value == "ann");
  CHECK(!asked.admission.offered);
}

TEST_CASE("who has no token is told no error, who has a bad one not which") {
  Asked none;
  ask(none, auth::test::rules(), "");
  REQUIRE(none.refusal);
  CHECK(none.refusal->answer.status == 401);
  CHECK(none.refusal->answer.fields == "WWW-Authenticate: Bearer\r\n");
  CHECK(none.refusal->why == "token: missing");
  Asked bad;
  ask(bad, auth::test::rules(), "Authorization: Bearer " + token() + "x\r\n");
  REQUIRE(bad.refusal);
  CHECK(bad.refusal->answer.fields == "WWW-Authenticate: Bearer error=\"invalid_token\"\r\n");
  CHECK(bad.cells.tokens[static_cast<std::size_t>(metrics::TokenResult::accepted)].value() == 0);
}

TEST_CASE("tokens among subprotocols are taken out, also when another place had the token") {
  config::Jwt jwt = auth::test::rules();
  std::string why;
  jwt.from = {*config::parse_token_place("header", why), *config::parse_token_place("subprotocol", why)};
  Asked asked;
  ask(asked, jwt,
      "Authorization: Bearer " + token() + "\r\nSec-WebSocket-Protocol: chat, bearer, secret\r\n");
  REQUIRE(!asked.refusal);
  CHECK(asked.request.subprotocols == std::vector<std::string>{"chat"});
  CHECK(*asked.admission.offered == "chat");
  CHECK(asked.admission.bearer == "bearer");
}

TEST_CASE("rulings: fields of the service come instead of the client's; no decision is 503") {
  config::ForwardAuth settings;
  settings.copy_headers = {"X-Plan", "X-Role"};
  Admission admission;
  auth::Ruling ruling;
  ruling.result = ForwardResult::allowed;
  ruling.fields = {{"X-Plan", "gold"}};
  CHECK(!apply_ruling(ruling, settings, admission));
  CHECK(admission.edits.withheld == settings.copy_headers);
  CHECK(admission.edits.granted.size() == 1);
  ruling = {ForwardResult::denied, 403, {{"WWW-Authenticate", "Basic"}}, {}};
  const auto denied = apply_ruling(ruling, settings, admission);
  REQUIRE(denied);
  CHECK(denied->answer.status == 403);
  CHECK(denied->answer.fields == "WWW-Authenticate: Basic\r\n");
  CHECK(denied->result == HandshakeResult::unauthorized);
  for (const auto result : {ForwardResult::unexpected, ForwardResult::unreachable, ForwardResult::timeout}) {
    const auto failed = apply_ruling({result, 0, {}, "why"}, settings, admission);
    REQUIRE(failed);
    CHECK(failed->answer.status == 503);
    CHECK(failed->answer.what.find("why") == std::string::npos);
    CHECK(failed->result == HandshakeResult::auth_failed);
  }
}

}  // namespace
}  // namespace holdfast::frontend::test
