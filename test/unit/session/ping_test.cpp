// Pings of the proxy's, and what counts as gone (SESSIONS.md promise 8 and section 2). Intervals are far
// below what a configuration allows; a timeout is tiny only where nobody is expected to answer.
#include <doctest/doctest.h>

#include "unit/session/fixture.hpp"

namespace holdfast::session::test {
namespace {

using ws::Opcode;
using ws::Sender;

constexpr std::uint32_t soon_ms = 20;

Frame expect_ping(End& end) {
  Frame got = end.expect();
  CHECK(got.opcode == Opcode::ping);
  return got;
}

std::uint64_t pings_answered(const metrics::PumpCells& cells) {
  std::uint64_t count = 0;
  for (std::size_t n = 0; n <= cells.ping_rtt.bounds().size(); ++n) count += cells.ping_rtt.bucket(n);
  return count;
}

TEST_CASE("silent legs are pinged, masked to the backend, and the pongs stay with the proxy") {
  Running running;
  running.route.ping_interval_ms = soon_ms;
  running.route.ping_timeout_ms = 60'000;
  Ends ends = running.open();
  const Frame to_client = expect_ping(ends.client);
  const Frame to_backend = expect_ping(ends.backend);
  CHECK_FALSE(to_client.masked);
  CHECK(to_backend.masked);
  ends.client.send(from_client(to_client.payload, Opcode::pong) + from_client("data"));
  CHECK(ends.backend.expect_past_pings().payload == "data");
  ends.backend.send(from_backend(to_backend.payload, Opcode::pong) + from_backend("answer"));
  CHECK(ends.client.expect_past_pings().payload == "answer");
  CHECK(pings_answered(running.pump_cells) == 2);
}

TEST_CASE("pongs that are not ours pass, whatever they look like") {
  Running running;
  Ends ends = running.open_and_greet();
  const std::string other_marker(12, 'm');  // as long as ours
  // Every peer has seen the marker: without a ping of ours that is open it means nothing.
  const std::uint64_t marker = Running::ping_marker;
  const std::string forged = std::string(reinterpret_cast<const char*>(&marker), sizeof marker) + "when";
  for (const std::string& payload : {std::string(), std::string("unasked"), other_marker, forged}) {
    ends.client.send(from_client(payload, Opcode::pong));
    const Frame got = ends.backend.expect();
    CHECK(got.opcode == Opcode::pong);
    CHECK(got.payload == payload);
  }
}

TEST_CASE("forwarded pings and their pongs pass byte for byte") {
  Running running;
  Ends ends = running.open_and_greet();
  const std::string longest(125, 'l');
  ends.backend.send(from_backend(longest, Opcode::ping));
  CHECK(ends.client.expect().payload == longest);
  ends.client.send(from_client(longest, Opcode::pong));
  const Frame back = ends.backend.expect();
  CHECK(back.opcode == Opcode::pong);
  CHECK(back.payload == longest);
}

TEST_CASE("no ping is sent in the middle of a frame") {
  Running running;
  running.route.ping_interval_ms = soon_ms;
  running.route.ping_timeout_ms = 60'000;
  const std::string large = from_backend(std::string(3000, 'f'));
  Opening how;
  how.early_to_client = large.substr(0, 1000);
  Ends ends = running.open(how);
  // The timer looks at both legs in one go: once the backend has its ping, the client's was due as well.
  expect_ping(ends.backend);
  ends.backend.send(large.substr(1000));
  CHECK((ends.client.expect().payload == std::string(3000, 'f')));
  expect_ping(ends.client);
}

TEST_CASE("a ping may go between the fragments of a message") {
  Running running;
  running.route.ping_interval_ms = soon_ms;
  running.route.ping_timeout_ms = 60'000;
  Ends ends = running.open();
  ends.backend.send(frame(Sender::server, Opcode::text, "frag", false));
  Frame got = ends.client.expect();
  while (got.opcode == Opcode::ping) got = ends.client.expect();
  CHECK(got.payload == "frag");
  CHECK_FALSE(got.fin);
  expect_ping(ends.client);
  ends.backend.send(frame(Sender::server, Opcode::continuation, "ment"));
  CHECK(ends.client.expect_past_pings().payload == "ment");
}

TEST_CASE("no ping is sent while a forwarded one is unanswered in that direction") {
  Running running;
  running.route.ping_interval_ms = soon_ms;
  running.route.ping_timeout_ms = 60'000;
  Opening how;
  how.early_to_backend = from_client("theirs", Opcode::ping);
  Ends ends = running.open(how);
  CHECK(ends.backend.expect().payload == "theirs");
  // Two rounds on the client's leg: in both the backend's was due, too.
  for (int n = 0; n < 2; ++n) ends.client.send(from_client(expect_ping(ends.client).payload, Opcode::pong));
  ends.client.send(from_client("marker"));
  CHECK(ends.backend.expect().payload == "marker");
  ends.backend.send(from_backend("theirs", Opcode::pong));
  CHECK(ends.client.expect_past_pings().opcode == Opcode::pong);
  expect_ping(ends.backend);
}

TEST_CASE("a client that used to answer and falls silent has vanished") {
  Running running;
  running.route.ping_interval_ms = soon_ms;
  running.route.ping_timeout_ms = 60'000;
  Ends ends = running.open();
  ends.client.send(from_client(expect_ping(ends.client).payload, Opcode::pong));
  expect_ping(ends.client);
  running.route.ping_timeout_ms = soon_ms;
  for (auto got = ends.backend.next(); got; got = ends.backend.next()) CHECK(got->opcode == Opcode::ping);
  const auto record = running.notes.next_record();
  CHECK(record->reason == Reason::client_vanished);
  CHECK(record->close_code == 0);
}

TEST_CASE("a backend that used to answer and falls silent is lost") {
  Running running;
  running.route.ping_interval_ms = soon_ms;
  running.route.ping_timeout_ms = 60'000;
  Ends ends = running.open();
  ends.backend.send(from_backend(expect_ping(ends.backend).payload, Opcode::pong));
  expect_ping(ends.backend);
  running.route.ping_timeout_ms = soon_ms;
  Frame got = ends.client.expect_past_pings();
  CHECK(got.code() == 1012);
  CHECK(running.notes.next_record()->reason == Reason::backend_lost);
}

// Story: what was counted as undelivered lay in our kernel, and a backend that woke up later read it.
TEST_CASE("a hung backend that is given up reads nothing of what counts as undelivered when it wakes up") {
  constexpr std::uint64_t sent = 2'000;
  Rerouting running;
  running.route.ping_interval_ms = soon_ms;
  running.route.ping_timeout_ms = 60'000;
  Opening how;
  how.peer_buffers = 4'096;  // it takes little, our kernel the rest
  Ends ends = running.open(how);
  ends.backend.send(from_backend(expect_ping(ends.backend).payload, Opcode::pong));
  expect_ping(ends.backend);
  for (std::uint64_t n = 0; n < sent; ++n) ends.client.send(from_client(std::string(100, 'm')));
  running.sync();
  running.route.ping_timeout_ms = soon_ms;
  const auto attempt = running.desk.next();
  std::uint64_t received = 0;
  for (auto got = ends.backend.next(); got; got = ends.backend.next())
    received += got->opcode == Opcode::text;
  const std::uint64_t undelivered = running.cells.undelivered.value();
  CHECK(undelivered > 0);
  CHECK(received + undelivered <= sent);
  CHECK(received + undelivered + running.cells.unconfirmed.value() >= sent);
  running.refuse(*attempt, AttemptResult::refused);
}

TEST_CASE("bytes other than the pong keep a leg alive") {
  Running running;
  running.route.ping_interval_ms = soon_ms;
  running.route.ping_timeout_ms = 60'000;
  Ends ends = running.open();
  ends.backend.send(from_backend(expect_ping(ends.backend).payload, Opcode::pong));
  expect_ping(ends.backend);
  ends.backend.send(from_backend("busy"));
  CHECK(ends.client.expect_past_pings().payload == "busy");
  // That one is not asked for any more: the next silence is a new question.
  expect_ping(ends.backend);
}

TEST_CASE("peers that never answer pings are kept, and the backend is warned of once") {
  Running running;
  running.route.ping_interval_ms = soon_ms;
  running.route.ping_timeout_ms = soon_ms;
  Ends one = running.open();
  Ends two = running.open();
  for (int n = 0; n < 3; ++n) {
    expect_ping(one.backend);
    expect_ping(two.backend);
    expect_ping(one.client);
  }
  const auto warnings = running.notes.wait_for_warnings(1);
  CHECK(warnings.size() == 1);
  CHECK(warnings.front().find("chat/127.0.0.1:1") != std::string::npos);
  one.client.send(from_client("alive"));
  CHECK(one.backend.expect_past_pings().payload == "alive");
  CHECK_FALSE(running.notes.has_records());
}

// Story: a backend with one path that answers pings and one that doesn't had the second one's sessions
// rerouted again and again, and then closed.
TEST_CASE("a leg is not judged by the Pongs of another one to the same backend") {
  Running running;
  running.route.ping_interval_ms = soon_ms;
  running.route.ping_timeout_ms = soon_ms;
  Ends mute = running.open();
  Ends other = running.open();
  for (int n = 0; n < 3; ++n)
    other.backend.send(from_backend(expect_ping(other.backend).payload, Opcode::pong));
  for (int n = 0; n < 5; ++n) expect_ping(mute.backend);
  mute.client.send(from_client("alive"));
  CHECK(mute.backend.expect_past_pings().payload == "alive");
}

// A peer whose host is gone: what we sent stays unacknowledged. Loopback acknowledges everything, so what the
// kernel would say is made up.
class HostGone final : public net::Leg {
 public:
  HostGone(std::unique_ptr<net::Leg> leg, int descriptor) : leg_(std::move(leg)), descriptor_(descriptor) {}
  net::IoResult read(std::span<std::byte> into) noexcept override { return leg_->read(into); }
  net::IoResult write(std::span<const std::byte> bytes) noexcept override { return leg_->write(bytes); }
  void cork() noexcept override { leg_->cork(); }
  void uncork() noexcept override { leg_->uncork(); }
  void finish_writing() noexcept override { leg_->finish_writing(); }
  net::IoState discard() noexcept override { return leg_->discard(); }
  net::Liveness liveness() const noexcept override { return {1, 3'600'000, 0}; }
  void abort() noexcept override { leg_->abort(); }
  void use_scratch(net::CipherScratch& scratch) noexcept override { leg_->use_scratch(scratch); }

 private:
  int descriptor() const noexcept override { return descriptor_; }
  std::unique_ptr<net::Leg> leg_;
  int descriptor_;
};

// Story: only legs that had answered a ping before were ever given up, so a client that lost its network
// before the first one kept its descriptors until TCP gave up, a quarter of an hour later.
TEST_CASE("a client whose host is gone is given up after interval and timeout, even if it never answered") {
  Running running;
  running.route.ping_interval_ms = soon_ms;
  running.route.ping_timeout_ms = soon_ms;
  Opening how;
  how.wrap_client = [](std::unique_ptr<net::Leg> leg, int descriptor) -> std::unique_ptr<net::Leg> {
    return std::make_unique<HostGone>(std::move(leg), descriptor);
  };
  Ends ends = running.open(how);
  for (auto got = ends.backend.next(); got; got = ends.backend.next()) CHECK(got->opcode == Opcode::ping);
  CHECK(running.notes.next_record()->reason == Reason::client_vanished);
}

}  // namespace
}  // namespace holdfast::session::test
