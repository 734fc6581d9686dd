// Clients that send faster than their route allows. What is measured in time is only ever measured from
// below: a loaded machine may be late, a limit never early.
#include <doctest/doctest.h>

#include "unit/session/fixture.hpp"

namespace holdfast::session::test {
namespace {

using ws::Opcode;
using ws::Sender;

void limit_messages(Running& running, std::uint64_t per_second, std::uint64_t burst,
                    config::RateMode mode = config::RateMode::pause) {
  running.route.max_messages_per_second = per_second;
  running.route.message_burst = burst;
  running.route.rate_mode = mode;
  running.route.has_rates = true;
}
void limit_bytes(Running& running, std::uint64_t per_second, std::uint64_t burst,
                 config::RateMode mode = config::RateMode::pause) {
  running.route.max_bytes_per_second = per_second;
  running.route.byte_burst = burst;
  running.route.rate_mode = mode;
  running.route.has_rates = true;
}

std::string numbered(int from, int count) {
  std::string stream;
  for (int n = from; n < from + count; ++n) stream += from_client(std::to_string(n));
  return stream;
}

Milliseconds since(TimePoint start) {
  return std::chrono::duration_cast<Milliseconds>(Clock::now() - start);
}

TEST_CASE("a client that sends too fast is paused: each message arrives, none earlier than allowed") {
  for (const ClientLeg kind : {ClientLeg::plain, ClientLeg::tls}) {
    Running running;
    limit_messages(running, 50, 5);
    Opening how;
    how.client = kind;
    Ends ends = running.open(how);
    const TimePoint start = Clock::now();
    ends.client.send(numbered(0, 30));
    for (int n = 0; n < 30; ++n) {
      CHECK(ends.backend.expect().payload == std::to_string(n));
      if (n >= 5) CHECK(since(start) >= Milliseconds((n - 5) * 20));
    }
    ends.client.send(close_from(Sender::client, 1000));
    CHECK(ends.backend.expect().code() == 1000);
    ends.backend.send(close_from(Sender::server, 1000));
    CHECK(ends.client.close_then_end() == 1000);
    const auto record = running.notes.next_record();
    CHECK(record->reason == Reason::client_closed);
    CHECK(record->to_backend.frames == 31);
    CHECK(record->rate_pauses > 0);
    CHECK(running.cells.rate_pauses[0].value() == record->rate_pauses);
    CHECK(running.cells.rate_pauses[1].value() == 0);
  }
}

TEST_CASE("what a backend sends is not limited, and goes on while its client is paused") {
  Running running;
  limit_messages(running, 1, 1);
  Ends ends = running.open();
  ends.client.send(numbered(0, 2));
  CHECK(ends.backend.expect().payload == "0");
  for (int n = 0; n < 100; ++n) ends.backend.send(from_backend(std::to_string(n)));
  for (int n = 0; n < 100; ++n) CHECK(ends.client.expect().payload == std::to_string(n));
  CHECK(ends.backend.expect().payload == "1");
}

TEST_CASE("bytes are limited also within a message, and none is lost") {
  for (const ClientLeg kind : {ClientLeg::plain, ClientLeg::tls}) {
    Running running;
    limit_bytes(running, 400'000, 20'000);
    Opening how;
    how.client = kind;
    Ends ends = running.open(how);
    const std::string payload(150'000, 'x');
    const TimePoint start = Clock::now();
    std::string stream = from_client(payload, Opcode::binary);
    std::size_t sent = 0;
    std::string got;
    while (got.size() < stream.size()) {
      if (sent < stream.size() && ends.client.wait(POLLOUT, Milliseconds(0)))
        sent += ends.client.send_some(std::string_view(stream).substr(sent));
      if (ends.backend.wait(POLLIN, Milliseconds(5))) got += ends.backend.read_some();
      REQUIRE_FALSE(ends.backend.ended());
    }
    CHECK((got == stream));
    // The last read but one was not allowed before the rest had been paid off.
    CHECK(since(start) >= Milliseconds(150));
    CHECK(running.cells.rate_pauses[1].value() > 0);
  }
}

TEST_CASE("in mode close the first message too many ends the session with 1008, those before it arrive") {
  Running running;
  limit_messages(running, 1, 3, config::RateMode::close);
  Ends ends = running.open();
  ends.client.send(numbered(0, 10));
  for (int n = 0; n < 3; ++n) CHECK(ends.backend.expect().payload == std::to_string(n));
  CHECK(ends.backend.close_then_end() == 1001);
  CHECK(ends.client.close_then_end() == 1008);
  const auto record = running.notes.next_record();
  CHECK(record->reason == Reason::too_many_messages);
  CHECK(record->close_code == 1008);
  CHECK(record->closed_by == ClosedBy::proxy);
  CHECK(record->rate_pauses == 0);
}

TEST_CASE("in mode close too many bytes end the session at the next frame") {
  Running running;
  limit_bytes(running, 1, 1'000, config::RateMode::close);
  Ends ends = running.open();
  ends.client.send(from_client(std::string(5'000, 'x')) + from_client("too much"));
  CHECK(ends.backend.expect().payload.size() == 5'000);
  CHECK(ends.backend.close_then_end() == 1001);
  CHECK(ends.client.close_then_end() == 1008);
  CHECK(running.notes.next_record()->reason == Reason::too_many_bytes);
}

TEST_CASE(
    "pings and unasked pongs count as messages, within a fragmented message too; its further frames don't") {
  Running running;
  limit_messages(running, 1, 4, config::RateMode::close);
  Ends ends = running.open();
  ends.client.send(frame(Sender::client, Opcode::text, "a", false) +
                   frame(Sender::client, Opcode::continuation, "b", false) +
                   frame(Sender::client, Opcode::ping, "1") + frame(Sender::client, Opcode::pong, "2") +
                   frame(Sender::client, Opcode::continuation, "c", false) +
                   frame(Sender::client, Opcode::continuation, "d", true) +
                   frame(Sender::client, Opcode::ping, "3") + frame(Sender::client, Opcode::ping, "4"));
  for (const char* payload : {"a", "b", "1", "2", "c", "d", "3"})
    CHECK(ends.backend.expect().payload == payload);
  CHECK(ends.backend.close_then_end() == 1001);
  CHECK(running.notes.next_record()->reason == Reason::too_many_messages);
}

TEST_CASE("a Close is not held up by a rate that is used up") {
  Running running;
  limit_bytes(running, 1, 1);  // it would have to wait for six seconds
  Ends ends = running.open();
  const TimePoint start = Clock::now();
  ends.client.send(numbered(0, 1) + close_from(Sender::client, 4000));
  CHECK(ends.backend.expect().payload == "0");
  CHECK(ends.backend.expect().code() == 4000);
  CHECK(since(start) < std::chrono::seconds(5));
}

TEST_CASE(
    "our pings are answered by pongs that cost nothing, and a paused client is not thought to be gone") {
  Running running;
  running.route.ping_interval_ms = 30;
  running.route.ping_timeout_ms = 60;
  running.route.idle_timeout_ms = 200;
  limit_messages(running, 1, 1, config::RateMode::pause);
  Ends ends = running.open();
  const Frame ping = ends.client.expect();
  REQUIRE(ping.opcode == Opcode::ping);
  ends.client.send(from_client(ping.payload, Opcode::pong) + numbered(0, 4));
  // From now on its pongs would stand behind what it may not send yet: it answers none.
  std::string got;
  while (got.size() < 3) {
    const Frame each = ends.backend.expect();
    if (each.opcode == Opcode::ping) {
      ends.backend.send(from_backend(each.payload, Opcode::pong));
    } else {
      REQUIRE(each.opcode == Opcode::text);
      got += each.payload;
    }
  }
  CHECK(got == "012");
  CHECK_FALSE(running.notes.has_records());
}

TEST_CASE("two stoppers don't undo each other: a blocked backend and a rate that is used up") {
  Running running;
  limit_messages(running, 200, 20);
  Opening how;
  how.proxy_buffers = how.peer_buffers = 16 * 1024;
  Ends ends = running.open(how);
  std::string stream;
  for (int n = 0; n < 60; ++n) stream += frame(Sender::client, Opcode::binary, std::string(20'000, 'x'));
  std::string got;
  std::size_t sent = 0;
  const TimePoint start = Clock::now();
  while (got.size() < stream.size()) {
    if (sent < stream.size() && ends.client.wait(POLLOUT, Milliseconds(0)))
      sent += ends.client.send_some(std::string_view(stream).substr(sent));
    // The backend reads in spells, so that sometimes it and sometimes the rate is what the client waits for.
    if (since(start).count() % 60 < 30 && ends.backend.wait(POLLIN, Milliseconds(1)))
      got += ends.backend.read_some();
    REQUIRE_FALSE(ends.backend.ended());
    REQUIRE(since(start) < std::chrono::seconds(20));
  }
  CHECK((got == stream));
  CHECK(since(start) >= Milliseconds((60 - 20) * 5 - 5));
}

TEST_CASE("new limits reach a session that is paused, also that there is none any more") {
  Running running;
  limit_messages(running, 1, 1);
  Ends ends = running.open();
  ends.client.send(numbered(0, 50));
  CHECK(ends.backend.expect().payload == "0");
  running.route.has_rates = false;
  running.route.max_messages_per_second = 0;
  const TimePoint start = Clock::now();
  for (int n = 1; n < 50; ++n) CHECK(ends.backend.expect().payload == std::to_string(n));
  CHECK(since(start) < std::chrono::seconds(10));
  // What it was let through while there was no limit is not held against it.
  limit_messages(running, 1, 3, config::RateMode::close);
  ends.client.send(numbered(50, 5));
  CHECK(ends.backend.expect().payload == "50");
  CHECK(ends.backend.expect().payload == "51");
  CHECK(ends.client.close_then_end() == 1008);
}

TEST_CASE("a half-closed client's messages all arrive, as fast as it may send") {
  Running running;
  limit_messages(running, 50, 1);
  Ends ends = running.open();
  ends.client.send(numbered(0, 10));
  ends.client.finish();
  for (int n = 0; n < 10; ++n) CHECK(ends.backend.expect().payload == std::to_string(n));
  CHECK(ends.backend.read_to_end().empty());
  ends.backend.close();
  CHECK(running.notes.next_record()->reason == Reason::client_vanished);
}

TEST_CASE("a session that ends while its client is paused ends at once, what waits is let through") {
  Running running;
  limit_bytes(running, 1, 1);  // for six seconds, and again
  Ends ends = running.open();
  ends.client.send(numbered(0, 4) + close_from(Sender::client, 1001));
  CHECK(ends.backend.expect().payload == "0");
  running.shard.send(std::make_unique<EndSessions>(Reason::drain, Milliseconds(0)));
  const TimePoint start = Clock::now();
  CHECK(ends.client.close_then_end() == 1001);
  CHECK(since(start) < std::chrono::seconds(5));
  CHECK(running.notes.next_record()->reason == Reason::drain);
}

TEST_CASE("a client that is cut while it is paused leaves nothing behind") {
  Running running;
  limit_messages(running, 1, 1);
  {
    Ends ends = running.open();
    ends.client.send(numbered(0, 100));
    CHECK(ends.backend.expect().payload == "0");
    ends.client.abort();
    CHECK(ends.backend.read_to_end().empty());
  }
  CHECK(running.notes.next_record()->reason == Reason::client_vanished);
}

TEST_CASE("a message has so many frames and no more") {
  Running running;
  running.route.max_fragments = 3;
  Ends ends = running.open();
  const auto message = [](int frames) {
    std::string stream = frame(Sender::client, Opcode::text, "x", frames == 1);
    for (int n = 2; n <= frames; ++n) stream += frame(Sender::client, Opcode::continuation, "x", n == frames);
    return stream;
  };
  ends.client.send(message(3) + message(1) + message(3) + message(2) + message(4));
  for (int n = 0; n < 3 + 1 + 3 + 2 + 3; ++n) CHECK(ends.backend.expect().payload == "x");
  CHECK(ends.backend.close_then_end() == 1001);
  CHECK(ends.client.close_then_end() == 1008);
  const auto record = running.notes.next_record();
  CHECK(record->reason == Reason::too_many_fragments);
  CHECK(record->to_backend.frames == 12);
}

}  // namespace
}  // namespace holdfast::session::test
