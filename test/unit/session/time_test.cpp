// LIFECYCLE.md, the rows about time and orders from outside: idle, max_age, drain, upstream_gone, cut.
#include <doctest/doctest.h>

#include "unit/session/fixture.hpp"

namespace holdfast::session::test {
namespace {

using ws::Opcode;
using ws::Sender;

// The client of an ended session: its Close, its answer, the relayed answer.
void leaves_with(Ends& ends, std::uint16_t code) {
  CHECK(ends.client.expect().code() == code);
  ends.client.send(close_from(Sender::client, code, "as you wish"));
  const Frame relayed = ends.backend.expect();
  CHECK(relayed.code() == code);
  CHECK(relayed.payload.substr(2) == "as you wish");
  CHECK(ends.client.read_to_end().empty());
  CHECK(ends.backend.read_to_end().empty());
}

void order_end(Running& running, Reason reason, Milliseconds spread) {
  if (reason != Reason::upstream_gone) {
    running.shard.send(std::make_unique<EndSessions>(reason, spread));
  } else {
    running.upstream->set_present(false);
    running.shard.send(std::make_unique<UpstreamsGone>(spread));
  }
}

TEST_CASE("a session without data frames is idle: pings do not count") {
  Running running;
  running.route.idle_timeout_ms = 60;
  Ends ends = running.open();
  ends.client.send(from_client("still there", Opcode::ping));
  CHECK(ends.backend.expect().payload == "still there");
  leaves_with(ends, 1001);
  const auto record = running.notes.next_record();
  CHECK(record->reason == Reason::idle);
  CHECK(record->close_code == 1001);
  CHECK(record->duration >= Milliseconds(60));
}

TEST_CASE("a session that talks is not idle, but has a greatest age") {
  Running running;
  running.route.idle_timeout_ms = 30'000;
  running.route.max_age_ms = 120;
  Ends ends = running.open_and_greet();
  leaves_with(ends, 1001);
  const auto record = running.notes.next_record();
  CHECK(record->reason == Reason::max_age);
  CHECK(record->duration >= Milliseconds(120));
}

TEST_CASE("a drain asks every client to leave and relays its Close") {
  Running running;
  std::vector<Ends> all;
  for (int n = 0; n < 5; ++n) all.push_back(running.open_and_greet());
  CHECK(running.sessions.open.value() == 5);
  order_end(running, Reason::drain, Milliseconds(0));
  for (Ends& ends : all) leaves_with(ends, 1001);
  for (int n = 0; n < 5; ++n) CHECK(running.notes.next_record()->reason == Reason::drain);
  CHECK(running.shard.load() == 0);
}

TEST_CASE("a drain with a spread begins at once and does not close everybody at once") {
  Running running;
  std::vector<Ends> all;
  for (int n = 0; n < 3; ++n) all.push_back(running.open_and_greet());
  // Of three sessions one goes now and the last one after two thirds of ten hours.
  order_end(running, Reason::drain, std::chrono::hours(10));
  leaves_with(all[0], 1001);
  CHECK(running.notes.next_record()->reason == Reason::drain);
  for (std::size_t n = 1; n < 3; ++n) {
    all[n].client.send(from_client("still served"));
    CHECK(all[n].backend.expect().payload == "still served");
  }
  // Who arrives now is sent away at once.
  Ends late = running.open();
  CHECK(late.client.expect().code() == 1001);
  // A second order with a nearer moment wins, one with a later moment does not.
  order_end(running, Reason::drain, std::chrono::hours(20));
  order_end(running, Reason::drain, Milliseconds(0));
  leaves_with(all[1], 1001);
  leaves_with(all[2], 1001);
}

TEST_CASE("a drain whose client never answers gives the backend 1001 after close_timeout") {
  Running running;
  running.route.close_timeout_ms = 30;
  Ends ends = running.open_and_greet();
  order_end(running, Reason::drain, Milliseconds(0));
  CHECK(ends.client.close_then_end() == 1001);
  CHECK(ends.backend.close_then_end() == 1001);
  CHECK(running.notes.next_record()->reason == Reason::drain);
}

TEST_CASE("removed upstreams cost their sessions a 1012, and only them") {
  Running running;
  Ends gone = running.open_and_greet();
  Ends other = running.open_and_greet({.upstream = "news"});
  order_end(running, Reason::upstream_gone, Milliseconds(0));
  leaves_with(gone, 1012);
  CHECK(running.notes.next_record()->reason == Reason::upstream_gone);
  other.client.send(from_client("what happened?"));
  CHECK(other.backend.expect().payload == "what happened?");
}

TEST_CASE("who still arrives for a removed upstream is sent away, unless a later snapshot has it again") {
  Running running;
  order_end(running, Reason::upstream_gone, Milliseconds(0));
  Ends late = running.open();
  CHECK(late.client.expect().code() == 1012);
  running.upstream->set_present(true);
  Ends again = running.open_and_greet();
  CHECK(running.shard.load() == 2);
}

// Story: a reload without an upstream and the next one with it: all its sessions were closed.
TEST_CASE("an upstream that is back in time keeps the sessions whose turn has not come") {
  Running running;
  Ends first = running.open_and_greet();
  Ends second = running.open_and_greet();
  order_end(running, Reason::upstream_gone, Milliseconds(600));
  CHECK(first.client.expect().code() == 1012);
  running.upstream->set_present(true);
  CHECK_FALSE(second.client.wait(POLLIN, Milliseconds(500)));
  second.client.send(from_client("still here"));
  CHECK(second.backend.expect().payload == "still here");
  SUBCASE("and a drain that comes then is not forgotten") {
    order_end(running, Reason::drain, Milliseconds(0));
    CHECK(second.client.expect().code() == 1001);
  }
}

TEST_CASE("a half-closed client is drained like the others, and can read why it ends") {
  Running running;
  Ends ends = running.open_and_greet();
  ends.client.finish();
  CHECK_FALSE(ends.backend.next().has_value());
  order_end(running, Reason::drain, Milliseconds(0));
  CHECK(ends.client.close_then_end() == 1001);
  CHECK(running.notes.next_record()->reason == Reason::client_vanished);
}

TEST_CASE("a half-closed client does not outlive max_age, however much its backend has to say") {
  Running running;
  running.route.max_age_ms = 50;
  running.route.close_timeout_ms = 100;
  Ends ends = running.open();
  ends.client.finish();
  const TimePoint deadline = Clock::now() + patience;
  while (!running.notes.has_records() && Clock::now() < deadline) {
    send(ends.backend.descriptor(), "\x82\x01x", 3, MSG_NOSIGNAL);
    if (ends.client.wait(POLLIN, Milliseconds(5))) (void)ends.client.read_now();
  }
  REQUIRE(running.notes.has_records());
  CHECK(running.notes.next_record()->reason == Reason::client_vanished);
}

// Story: with the proxy's Close still waiting for a frame's end, a Close of the client ended the session
// inside that frame.
TEST_CASE("a client that closes while the proxy's Close waits gets its frame whole, and then its answer") {
  Running running;
  Ends ends = running.open_and_greet();
  const std::string large = from_backend(std::string(5000, 'v'));
  ends.backend.send(large.substr(0, 2000));
  std::string seen;
  while (seen.size() < 2000) seen += ends.client.read_some();
  order_end(running, Reason::drain, Milliseconds(0));
  Ends witness = running.open();  // sent away at once: so the order has been carried out
  CHECK(witness.client.expect().code() == 1001);
  ends.client.send(close_from(Sender::client, 1000));
  CHECK(ends.backend.expect().code() == 1000);
  ends.backend.send(large.substr(2000));
  ends.client.rest = seen;
  CHECK((ends.client.expect().payload == std::string(5000, 'v')));
  CHECK(ends.client.expect().opcode == Opcode::close);
}

TEST_CASE("a cut closes both connections without a word") {
  Running running;
  Ends ends = running.open_and_greet();
  running.shard.send(std::make_unique<CutSessions>());
  CHECK(ends.client.read_to_end().empty());
  CHECK(ends.backend.read_to_end().empty());
  CHECK(running.notes.next_record()->reason == Reason::drain);
}

TEST_CASE("a cut ends sessions that are closing and lingering, too, and records each once") {
  Running running;
  Ends closing = running.open_and_greet();
  closing.client.send(close_from(Sender::client, 1000));
  CHECK(closing.backend.expect().code() == 1000);
  Ends lingering = running.open_and_greet();
  lingering.client.send(frame(Sender::server, Opcode::text, "unmasked"));
  CHECK(lingering.client.close_then_end() == 1002);
  CHECK(running.notes.next_record()->reason == Reason::client_violation);
  running.shard.send(std::make_unique<CutSessions>());
  CHECK(running.notes.next_record()->reason == Reason::client_closed);
  CHECK(closing.client.read_to_end().empty());
  Ends next = running.open_and_greet();  // the shard lives
  CHECK_FALSE(running.notes.has_records());
  CHECK(running.shard.load() == 1);
}

}  // namespace
}  // namespace holdfast::session::test
