// LIFECYCLE.md, the rows about legs that end without a Close, and about broken rules.
#include <doctest/doctest.h>

#include "unit/session/fixture.hpp"

namespace holdfast::session::test {
namespace {

using ws::Opcode;
using ws::Sender;

TEST_CASE("a half-closed client still gets what is under way") {
  Running running;
  Ends ends = running.open_and_greet();
  ends.client.send(from_client("the question"));
  ends.client.finish();
  CHECK(ends.backend.expect().payload == "the question");
  CHECK_FALSE(ends.backend.next().has_value());  // the FIN has come through
  CHECK(ends.backend.rest.empty());
  const std::string answer(400'000, 'a');
  ends.backend.send(from_backend(answer));
  CHECK((ends.client.expect().payload == answer));
  ends.backend.finish();
  CHECK_FALSE(ends.client.next().has_value());
  CHECK(ends.client.rest.empty());
  const auto record = running.notes.next_record();
  CHECK(record->reason == Reason::client_vanished);
  CHECK(record->closed_by == ClosedBy::client);
  CHECK(record->close_code == 0);
}

TEST_CASE("a half-closed client's session ends when nothing comes for it any more") {
  Running running;
  running.route.close_timeout_ms = 30;
  Ends ends = running.open_and_greet();
  ends.client.finish();
  CHECK(ends.client.read_to_end().empty());
  CHECK(running.notes.next_record()->reason == Reason::client_vanished);
}

TEST_CASE("a client's reset gives the backend a FIN and no invented Close") {
  Running running;
  Ends ends = running.open_and_greet();
  ends.client.abort();
  CHECK_FALSE(ends.backend.next().has_value());
  CHECK(ends.backend.rest.empty());
  CHECK_FALSE(ends.backend.was_reset());
  CHECK(running.notes.next_record()->reason == Reason::client_vanished);
}

// Story: a killed client sends FIN, and RST once more data comes for it. The session had met the input's end
// already, so nobody looked at the leg again: it lived on for as long as its backend went on talking.
TEST_CASE("a client that half-closes and then resets is gone, however much its backend has to say") {
  Running running;
  Ends ends = running.open_and_greet();
  ends.client.finish();
  CHECK_FALSE(ends.backend.next().has_value());
  ends.client.abort();
  const TimePoint deadline = Clock::now() + patience;
  while (!running.notes.has_records() && Clock::now() < deadline) {
    (void)ends.backend.wait(POLLOUT, Milliseconds(5));
    send(ends.backend.descriptor(), "\x82\x01x", 3, MSG_NOSIGNAL);
  }
  REQUIRE(running.notes.has_records());
  CHECK(running.notes.next_record()->reason == Reason::client_vanished);
}

TEST_CASE("a backend that ends between messages costs the client a Close 1012") {
  Running running;
  Ends ends = running.open_and_greet();
  ends.backend.send(from_backend("bye"));
  ends.backend.close();
  CHECK(ends.client.expect().payload == "bye");
  CHECK(ends.client.close_then_end() == 1012);
  const auto record = running.notes.next_record();
  CHECK(record->reason == Reason::backend_lost);
  CHECK(record->closed_by == ClosedBy::proxy);
  CHECK(record->close_code == 1012);
}

TEST_CASE("a backend's reset is told apart in nothing from its FIN") {
  Running running;
  Ends ends = running.open_and_greet();
  ends.backend.abort();
  CHECK(ends.client.close_then_end() == 1012);
  CHECK(running.notes.next_record()->reason == Reason::backend_lost);
}

// What the client must see when its backend dies behind `count` bytes of this stream.
struct Fate {
  std::string text;  ///< of the reason
  unsigned code;     ///< 0 = only the connection ends
};

TEST_CASE("a backend that dies at any byte offset leaves the client with legal frames only") {
  const std::string first = from_backend("whole");
  const std::string begun = frame(Sender::server, Opcode::text, "frag", false);
  const std::string ping = from_backend("p", Opcode::ping);
  const std::string last = frame(Sender::server, Opcode::continuation, "ment");
  const std::string stream = first + begun + ping + last;
  // A control frame whose tail is missing has not been begun towards the client; a data frame has, once its
  // head is whole.
  const auto fate = [&](std::size_t count) -> Fate {
    if (count < 2 || count == first.size()) return {"backend_lost", 1012};
    if (count < first.size()) return {"cut_mid_frame", 0};
    std::size_t at = count - first.size();
    if (at < 2) return {"backend_lost", 1012};
    if (at < begun.size()) return {"cut_mid_frame", 0};
    at -= begun.size();
    if (at < ping.size() + 2) return {"cut_mid_message", 1012};
    return at < ping.size() + last.size() ? Fate{"cut_mid_frame", 0} : Fate{"backend_lost", 1012};
  };
  Running running;
  for (std::size_t count = 0; count <= stream.size(); ++count) {
    CAPTURE(count);
    const Fate expected = fate(count);
    Ends ends = running.open();
    ends.backend.send(stream.substr(0, count));
    ends.backend.close();
    std::optional<Frame> got;
    Frame last_seen;
    while ((got = ends.client.next())) last_seen = *got;
    CHECK(last_seen.code() == expected.code);
    CHECK(ends.client.rest.empty() == (expected.code != 0));
    const auto record = running.notes.next_record();
    CHECK(std::string(text(record->reason)) == expected.text);
    CHECK(record->close_code == expected.code);
  }
}

TEST_CASE("a client that breaks the rules gets 1002, its backend 1001, and what came before is delivered") {
  const std::string unmasked = frame(Sender::server, Opcode::text, "x");
  const std::string reserved = "\x83\x80" + std::string(4, '\0');
  const std::string continuation = frame(Sender::client, Opcode::continuation, "x");
  const std::string bad_code = close_from(Sender::client, 1005);
  for (const std::string& broken : {unmasked, reserved, continuation, bad_code}) {
    Running running;
    Ends ends = running.open_and_greet();
    ends.client.send(from_client("before") + broken + from_client("after"));
    CHECK(ends.backend.expect().payload == "before");
    CHECK(ends.backend.close_then_end() == 1001);
    CHECK(ends.client.close_then_end() == 1002);
    const auto record = running.notes.next_record();
    CHECK(record->reason == Reason::client_violation);
    CHECK(record->close_code == 1002);
    CHECK(record->closed_by == ClosedBy::proxy);
  }
}

TEST_CASE("a backend that breaks the rules gets 1002, its client 1011") {
  Running running;
  Ends ends = running.open_and_greet();
  ends.backend.send(from_backend("before") + frame(Sender::client, Opcode::text, "masked"));
  CHECK(ends.client.expect().payload == "before");
  CHECK(ends.client.close_then_end() == 1011);
  CHECK(ends.backend.close_then_end() == 1002);
  CHECK(running.notes.next_record()->reason == Reason::backend_violation);
}

TEST_CASE("reserved bits pass only where an extension was agreed") {
  std::string compressed = from_client("x");
  compressed[0] = static_cast<char>(compressed[0] | 0x40);
  {
    Running running;
    Ends ends = running.open_and_greet();
    ends.client.send(compressed);
    CHECK(ends.client.close_then_end() == 1002);
  }
  Running running;
  Ends ends = running.open_and_greet({.allowed_rsv = ws::rsv1});
  ends.client.send(compressed);
  CHECK((ends.backend.read_some() == compressed));
}

TEST_CASE("a violation while a large frame passes the other way waits for that frame's end") {
  Running running;
  Ends ends = running.open_and_greet();
  const std::string large = from_backend(std::string(5000, 'v'));
  ends.backend.send(large.substr(0, 2000));
  std::string seen;
  while (seen.size() < 2000) seen += ends.client.read_some();
  ends.client.send(frame(Sender::server, Opcode::text, "unmasked"));
  CHECK(ends.backend.expect().code() == 1001);
  ends.backend.send(large.substr(2000));
  ends.client.rest = seen;
  CHECK((ends.client.expect().payload == std::string(5000, 'v')));
  CHECK(ends.client.close_then_end() == 1002);
}

// Story: with a Close of the proxy's waiting for a frame's end, the death of the backend inside that frame
// was not taken as an end, and the client hung on for close_timeout.
TEST_CASE("a backend that dies while a Close waits for its frame's end ends the session at once") {
  Running running;
  Ends ends = running.open_and_greet();
  ends.backend.send(from_backend(std::string(5000, 'v')).substr(0, 2000));
  std::string seen;
  while (seen.size() < 2000) seen += ends.client.read_some();
  ends.client.send(frame(Sender::server, Opcode::text, "unmasked"));
  CHECK(ends.backend.expect().code() == 1001);
  ends.backend.close();
  CHECK(ends.client.read_to_end().empty());
  CHECK(running.notes.next_record()->reason == Reason::client_violation);
}

TEST_CASE("a message over the limit gets 1009, whoever sent it, and a new limit reaches a live session") {
  Running running;
  {
    Ends ends = running.open_and_greet();
    running.route.max_message = 100;
    ends.client.send(frame(Sender::client, Opcode::text, std::string(60, 'a'), false));
    CHECK(ends.backend.expect().payload.size() == 60);
    ends.client.send(frame(Sender::client, Opcode::continuation, std::string(41, 'b')));
    CHECK(ends.client.close_then_end() == 1009);
    CHECK(ends.backend.close_then_end() == 1001);
    CHECK(running.notes.next_record()->reason == Reason::message_too_big);
  }
  running.route.max_message_to_client = 10;
  Ends ends = running.open_and_greet();
  ends.backend.send(from_backend("exactly 10"));
  CHECK(ends.client.expect().payload == "exactly 10");
  ends.backend.send(from_backend("eleven byte"));
  CHECK(ends.client.close_then_end() == 1009);
  CHECK(ends.backend.close_then_end() == 1001);
  CHECK(running.cells.ends[static_cast<std::size_t>(Reason::message_too_big)][metrics::code_class(1009)]
            .value() == 2);
}

// Story: a record cut by the client's death came with its FIN in one turn; the read that found the record
// incomplete was taken for the last one, and the FIN was never met.
TEST_CASE("a FIN behind an incomplete TLS record is noticed") {
  Running running;
  Ends ends = running.open_and_greet({.client = ClientLeg::tls});
  const std::string torn("\x17\x03\x03\x01\x00half", 9);
  const int more = MSG_MORE;  // so that record and FIN arrive together
  REQUIRE(send(ends.client.descriptor(), torn.data(), torn.size(), more) == 9);
  REQUIRE(shutdown(ends.client.descriptor(), SHUT_WR) == 0);
  CHECK_FALSE(ends.backend.next().has_value());
  ends.backend.close();
  CHECK(running.notes.next_record()->reason == Reason::client_vanished);
}

// A client that takes nothing of one write, and everything afterwards.
class BlocksOnce final : public net::Leg {
 public:
  BlocksOnce(std::unique_ptr<net::Leg> leg, int descriptor) : leg_(std::move(leg)), descriptor_(descriptor) {}
  net::IoResult read(std::span<std::byte> into) noexcept override { return leg_->read(into); }
  net::IoResult write(std::span<const std::byte> bytes) noexcept override {
    // The first one is the greeting.
    return ++writes_ == 2 ? net::IoResult{0, net::IoState::drained} : leg_->write(bytes);
  }
  void cork() noexcept override { leg_->cork(); }
  void uncork() noexcept override { leg_->uncork(); }
  void finish_writing() noexcept override { leg_->finish_writing(); }
  net::IoState discard() noexcept override { return leg_->discard(); }
  net::Liveness liveness() const noexcept override { return leg_->liveness(); }
  void abort() noexcept override { leg_->abort(); }
  void use_scratch(net::CipherScratch& scratch) noexcept override { leg_->use_scratch(scratch); }

 private:
  int descriptor() const noexcept override { return descriptor_; }
  std::unique_ptr<net::Leg> leg_;
  int descriptor_;
  int writes_ = 0;
};

// Story: that its backend has ended behind a blocked client was judged in the middle of the write, where a
// limit just passed put a Close of ours behind the Close that was being relayed.
TEST_CASE("a limit that passes while a Close is relayed to a blocked client does not add a second Close") {
  Running running;
  Opening how;
  how.wrap_client = [](std::unique_ptr<net::Leg> leg, int descriptor) -> std::unique_ptr<net::Leg> {
    return std::make_unique<BlocksOnce>(std::move(leg), descriptor);
  };
  Ends ends = running.open_and_greet(how);
  const TimePoint old_enough = Clock::now() + Milliseconds(5);
  while (Clock::now() < old_enough) (void)running.open_and_greet();
  running.route.max_age_ms = 1;  // noticed at the next look
  const std::string last = from_backend("last") + close_from(Sender::server, 3000);
  REQUIRE(send(ends.backend.descriptor(), last.data(), last.size(), MSG_MORE) ==
          static_cast<ssize_t>(last.size()));
  REQUIRE(shutdown(ends.backend.descriptor(), SHUT_WR) == 0);
  Ends witness = running.open_and_greet();             // so the shard has met the Close
  ends.client.send(close_from(Sender::client, 3000));  // an event: the blocked client is tried again
  CHECK(ends.client.expect().payload == "last");
  CHECK(ends.client.close_then_end() == 3000);
}

}  // namespace
}  // namespace holdfast::session::test
