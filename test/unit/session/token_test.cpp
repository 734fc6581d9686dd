// Sessions that end with their token.
#include <doctest/doctest.h>

#include "unit/session/fixture.hpp"

namespace holdfast::session::test {
namespace {

using ws::Sender;

Opening with_token(std::uint32_t tenths) {
  Opening how;
  how.token_lasts_100ms = tenths;
  return how;
}

TEST_CASE("a session ends with its token: the client is told why, its Close is relayed") {
  Running running;
  running.route.at_expiry = 4401;
  Ends ends = running.open_and_greet(with_token(2));
  const Frame close = ends.client.expect();
  CHECK(close.code() == 4401);
  CHECK(close.payload.substr(2) == "token expired");
  ends.client.send(close_from(Sender::client, 4401, ""));
  CHECK(ends.backend.expect().code() == 4401);
  const auto record = running.notes.next_record();
  CHECK(record->reason == Reason::token_expired);
  CHECK(record->closed_by == ClosedBy::proxy);
  CHECK(record->close_code == 4401);
  CHECK(record->duration >= Milliseconds(200));
}

TEST_CASE("a client that does not answer that Close: its backend is told that it goes") {
  Running running;
  running.route.at_expiry = 1008;
  running.route.close_timeout_ms = 50;
  Ends ends = running.open_and_greet(with_token(1));
  CHECK(ends.client.expect().code() == 1008);
  const Frame told = ends.backend.expect();
  CHECK(told.code() == 1001);
  CHECK(told.payload.size() == 2);  // the reason is for the client
}

TEST_CASE("where sessions may stay, the end of a token is none") {
  Running running;
  running.route.at_expiry = config::Jwt::stay;
  running.route.max_age_ms = 300;
  Ends ends = running.open_and_greet(with_token(1));
  CHECK(ends.client.expect().code() == 1001);
  ends.client.send(close_from(Sender::client, 1001, ""));
  CHECK(running.notes.next_record()->reason == Reason::max_age);
}

TEST_CASE("a token that lasts for years is not mistaken for one that is over") {
  Running running;
  running.route.at_expiry = 4401;
  running.route.max_age_ms = 100;
  for (const std::uint32_t tenths : {500'000'000U, UINT32_MAX, 42'949'673U}) {
    Ends ends = running.open_and_greet(with_token(tenths));
    CHECK(ends.client.expect().code() == 1001);
    ends.client.send(close_from(Sender::client, 1001, ""));
    CHECK(running.notes.next_record()->reason == Reason::max_age);
  }
}

TEST_CASE("the Close waits for the end of the frame that is passing") {
  Running running;
  running.route.at_expiry = 4401;
  Ends ends = running.open_and_greet(with_token(1));
  const std::string large = from_backend(std::string(5000, 'v'));
  ends.backend.send(large.substr(0, 2000));
  std::string seen;
  while (seen.size() < 2000) seen += ends.client.read_some();
  CHECK(!ends.client.wait(POLLIN, Milliseconds(250)));
  ends.backend.send(large.substr(2000));
  while (seen.size() < large.size()) seen += ends.client.read_some();
  CHECK(seen.substr(0, large.size()) == large);
}

TEST_CASE("a half-closed client does not outlive its token, however much its backend has to say") {
  Running running;
  running.route.at_expiry = 4401;
  running.route.close_timeout_ms = 100;
  Ends ends = running.open(with_token(3));
  ends.client.finish();
  std::string seen;
  const TimePoint deadline = Clock::now() + patience;
  while (!running.notes.has_records() && Clock::now() < deadline) {
    send(ends.backend.descriptor(), "\x82\x01x", 3, MSG_NOSIGNAL);
    if (ends.client.wait(POLLIN, Milliseconds(5))) seen += ends.client.read_now();
  }
  REQUIRE(running.notes.has_records());
  const auto record = running.notes.next_record();
  CHECK(record->reason == Reason::client_vanished);
  CHECK(record->duration >= Milliseconds(300));
  seen += ends.client.read_to_end();
  CHECK(seen.ends_with("\x88\x02\x11\x31"));  // 4401
}

}  // namespace
}  // namespace holdfast::session::test
