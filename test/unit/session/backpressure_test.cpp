// A destination that does not read: its source is paused, memory is bounded, nobody else waits, and all bytes
// arrive in the end.
#include <doctest/doctest.h>

#include "unit/session/fixture.hpp"

namespace holdfast::session::test {
namespace {

using ws::Opcode;
using ws::Sender;

constexpr int small_buffers = 16 * 1024;
// What can be on its way between two ends that don't read: two kernel buffers on each of two connections
// (each doubled, see socket(7)), TLS records, and the one batch that a session may keep. Far below what is
// offered.
constexpr std::size_t most_on_the_way = 1024 * 1024;

Opening small() {
  Opening how;
  how.proxy_buffers = how.peer_buffers = small_buffers;
  return how;
}

std::string messages(Sender from, std::size_t bytes) {
  std::string stream;
  for (unsigned n = 0; stream.size() < bytes; ++n) {
    stream += frame(from, Opcode::binary, std::string(n * 37 % 5000, static_cast<char>('a' + n % 26)));
  }
  return stream;
}

// Sends until nothing goes for a while; returns how much went. How long the while is decides only how full
// the way gets, not whether the test passes.
std::size_t fill(End& from, std::string_view stream) {
  std::size_t sent = 0;
  while (sent < stream.size() && from.wait(POLLOUT, Milliseconds(100)))
    sent += from.send_some(stream.substr(sent));
  return sent;
}

void send_rest_and_compare(End& from, End& to, const std::string& stream, std::size_t sent) {
  std::string got;
  while (got.size() < stream.size()) {
    if (sent < stream.size()) sent += from.send_some(std::string_view(stream).substr(sent));
    got += to.read_some();
    REQUIRE_FALSE(to.ended());
  }
  CHECK((got == stream));
}

TEST_CASE("a backend that does not read pauses its client only, and gets every byte when it reads") {
  Running running;
  Ends blocked = running.open_and_greet(small());
  const std::string stream = messages(Sender::client, 4 * 1024 * 1024);
  const std::size_t sent = fill(blocked.client, stream);
  CHECK(sent < most_on_the_way);
  // The other direction of this session, and other sessions, go on.
  blocked.backend.send(from_backend("still here"));
  CHECK(blocked.client.expect().payload == "still here");
  Ends other = running.open_and_greet();
  send_rest_and_compare(blocked.client, blocked.backend, stream, sent);
  blocked.client.send(close_from(Sender::client, 1000));
  CHECK(blocked.backend.expect().code() == 1000);
}

TEST_CASE("a client that does not read pauses its backend, also behind TLS") {
  for (const ClientLeg kind : {ClientLeg::plain, ClientLeg::tls}) {
    Running running;
    Opening how = small();
    how.client = kind;
    Ends blocked = running.open_and_greet(how);
    const std::string stream = messages(Sender::server, 4 * 1024 * 1024);
    const std::size_t sent = fill(blocked.backend, stream);
    CHECK(sent < most_on_the_way);
    blocked.client.send(from_client("slow, not dead"));
    CHECK(blocked.backend.expect().payload == "slow, not dead");
    send_rest_and_compare(blocked.backend, blocked.client, stream, sent);
  }
}

TEST_CASE("both directions blocked at once come free again") {
  Running running;
  Ends ends = running.open_and_greet(small());
  const std::string up = messages(Sender::client, 2 * 1024 * 1024);
  const std::string down = messages(Sender::server, 2 * 1024 * 1024);
  const std::size_t up_sent = fill(ends.client, up);
  const std::size_t down_sent = fill(ends.backend, down);
  CHECK(up_sent < most_on_the_way);
  CHECK(down_sent < most_on_the_way);
  send_rest_and_compare(ends.client, ends.backend, up, up_sent);
  send_rest_and_compare(ends.backend, ends.client, down, down_sent);
}

TEST_CASE("a ping of the proxy's waits until a blocked leg takes bytes again") {
  Running running;
  running.route.ping_interval_ms = 20;
  running.route.ping_timeout_ms = 60'000;
  Ends ends = running.open(small());
  const std::string stream = messages(Sender::server, 1024 * 1024);
  const std::size_t sent = fill(ends.backend, stream);
  CHECK(sent < stream.size());
  std::string expected = stream;
  std::size_t gone = sent;
  // Everything that the client reads is either the stream or a whole ping between two of its frames.
  while (!expected.empty()) {
    if (gone < stream.size()) gone += ends.backend.send_some(std::string_view(stream).substr(gone));
    const Frame each = ends.client.expect();
    if (each.opcode == Opcode::ping) {
      ends.client.send(from_client(each.payload, Opcode::pong));
      continue;
    }
    const std::string wire = frame(Sender::server, each.opcode, each.payload, each.fin);
    REQUIRE(expected.starts_with(wire));
    expected.erase(0, wire.size());
  }
  CHECK(ends.client.expect().opcode == Opcode::ping);
}

TEST_CASE("a Close behind blocked data arrives behind it") {
  Running running;
  Ends ends = running.open_and_greet(small());
  const std::string stream = messages(Sender::server, 300'000) + close_from(Sender::server, 1000);
  const std::size_t sent = fill(ends.backend, stream);
  send_rest_and_compare(ends.backend, ends.client, stream, sent);
  ends.client.send(close_from(Sender::client, 1000));
  CHECK(ends.backend.close_then_end() == 1000);
  CHECK(running.notes.next_record()->to_client.bytes == stream.size() + from_backend("pong!").size());
}

TEST_CASE("a drain reaches a client that is slow behind what it has not read yet") {
  Running running;
  Ends ends = running.open_and_greet(small());
  const std::string stream = messages(Sender::server, 2 * 1024 * 1024);
  const std::size_t sent = fill(ends.backend, stream);
  running.shard.send(std::make_unique<EndSessions>(Reason::drain, Milliseconds(0)));
  std::string expected = stream;
  for (;;) {
    // The proxy reads on for whole frames, but it need not take all that the backend would say.
    const Frame each = ends.client.expect();
    if (each.opcode == Opcode::close) {
      CHECK(each.code() == 1001);
      break;
    }
    const std::string wire = frame(Sender::server, each.opcode, each.payload, each.fin);
    REQUIRE(expected.starts_with(wire));
    expected.erase(0, wire.size());
  }
  CHECK(stream.size() - expected.size() <= sent);
}

TEST_CASE("a blocked session is cut at once") {
  Running running;
  Ends ends = running.open_and_greet(small());
  (void)fill(ends.backend, messages(Sender::server, 2 * 1024 * 1024));
  running.shard.send(std::make_unique<CutSessions>());
  CHECK(running.notes.next_record()->reason == Reason::drain);
  (void)ends.client.read_to_end();
  CHECK(running.shard.load() == 0);
}

TEST_CASE("a client that resets while data waits for it is gone at once") {
  Running running;
  Ends ends = running.open_and_greet(small());
  (void)fill(ends.backend, messages(Sender::server, 2 * 1024 * 1024));
  ends.client.abort();
  CHECK(running.notes.next_record()->reason == Reason::client_vanished);
  CHECK(running.sessions.open.value() == 0);
}

TEST_CASE("what a backend had sent before it reset reaches a slow client, and then the end") {
  Running running;
  Ends ends = running.open_and_greet(small());
  (void)fill(ends.backend, messages(Sender::server, 2 * 1024 * 1024));
  ends.backend.abort();
  Frame last;
  for (auto got = ends.client.next(); got; got = ends.client.next()) last = *got;
  const auto record = running.notes.next_record();
  CHECK((record->reason == Reason::backend_lost || record->reason == Reason::cut_mid_frame));
  CHECK((last.opcode == Opcode::close) == (record->reason == Reason::backend_lost));
  CHECK(ends.client.rest.empty() == (record->reason == Reason::backend_lost));
}

TEST_CASE("a dead backend's words are not kept for a client that takes nothing within close_timeout") {
  Running running;
  Ends ends = running.open_and_greet(small());
  (void)fill(ends.backend, messages(Sender::server, 2 * 1024 * 1024));
  running.route.close_timeout_ms = 50;
  ends.backend.abort();
  const auto record = running.notes.next_record();
  CHECK((record->reason == Reason::backend_lost || record->reason == Reason::cut_mid_frame));
  CHECK(running.shard.load() == 0);
}

// Story: the client's Close stood behind data that its dead backend would never take; unpaused without being
// read, it was only found by close_timeout.
TEST_CASE("the Close of a client that was paused is found when its backend dies") {
  Running running;
  Ends ends = running.open_and_greet(small());
  ends.backend.send(close_from(Sender::server, 1000));
  CHECK(ends.client.expect().code() == 1000);
  const std::string stream = messages(Sender::client, 400'000) + close_from(Sender::client, 1000);
  std::size_t sent = fill(ends.client, stream);
  ends.backend.abort();
  while (sent < stream.size() && ends.client.wait(POLLOUT, patience))
    sent += ends.client.send_some(std::string_view(stream).substr(sent));
  CHECK(running.notes.next_record()->reason == Reason::backend_closed);
  CHECK(ends.client.read_to_end().empty());
}

TEST_CASE("early bytes of both sides go first and need not be whole frames") {
  Running running;
  Opening how;
  const std::string first = from_client("early bird") + from_client("with a friend");
  const std::string second = from_backend("greeting") + from_backend(std::string(10'000, 'g'));
  how.early_to_backend = first.substr(0, 20);
  how.early_to_client = second.substr(0, 1);
  Ends ends = running.open(how);
  ends.client.send(first.substr(20));
  ends.backend.send(second.substr(1));
  CHECK(ends.backend.expect().payload == "early bird");
  CHECK(ends.backend.expect().payload == "with a friend");
  CHECK(ends.client.expect().payload == "greeting");
  CHECK((ends.client.expect().payload == std::string(10'000, 'g')));
}

TEST_CASE("early bytes that break the rules or close end the session") {
  Running running;
  Opening how;
  how.early_to_backend = "GET / HTTP/1.1\r\n";
  Ends broken = running.open(how);
  CHECK(broken.client.close_then_end() == 1002);
  how.early_to_backend.clear();
  how.early_to_client = from_backend("no") + close_from(Sender::server, 1013);
  Ends closed = running.open(how);
  CHECK(closed.client.expect().payload == "no");
  CHECK(closed.client.expect().code() == 1013);
}

}  // namespace
}  // namespace holdfast::session::test
