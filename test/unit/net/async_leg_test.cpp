// Legs in the setup plane: deadlines, cancelling, lingering, handing on.
#include "holdfast/net/async_leg.hpp"

#include <doctest/doctest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <exception>
#include <optional>

#include "unit/net/pair.hpp"

namespace holdfast::net::test {
namespace {

namespace asio = boost::asio;

// Runs the coroutine to its end and gives its result.
template <class T>
T run(asio::io_context& io, asio::awaitable<T> work) {
  std::optional<T> outcome;
  std::exception_ptr thrown;
  asio::co_spawn(io, std::move(work), [&](std::exception_ptr error, T value) {
    thrown = error;
    outcome.emplace(std::move(value));
    io.stop();
  });
  io.restart();
  io.run_for(patience);
  REQUIRE(thrown == nullptr);
  REQUIRE(outcome.has_value());
  return std::move(*outcome);
}
asio::awaitable<bool> finished(asio::awaitable<void> work) {
  co_await std::move(work);
  co_return true;
}

struct Fixture {
  explicit Fixture(int our_buffers = 0) {
    Pair pair = tcp_pair(our_buffers, our_buffers);
    const int theirs = pair.theirs.get();
    descriptor = pair.ours.get();
    leg = std::make_unique<AsyncLeg>(io, make_plain_leg(std::move(pair.ours)), Side::backend);
    peer = std::make_unique<Peer>(make_plain_leg(std::move(pair.theirs)), theirs);
  }
  std::span<std::byte> room() { return std::as_writable_bytes(std::span(into)); }

  asio::io_context io{1};
  int descriptor = -1;
  std::unique_ptr<AsyncLeg> leg;
  std::unique_ptr<Peer> peer;
  std::string into = std::string(1000, '\0');
};

TEST_CASE("a read gives what is there, and eof at the peer's end") {
  Fixture all;
  all.peer->send("hello");
  CHECK(run(all.io, all.leg->read_some(all.room())).value() == 5);
  all.peer->finish();
  const auto end = run(all.io, all.leg->read_some(all.room()));
  CHECK(end.error().failure == Failure::eof);
  CHECK(end.error().side == Side::backend);
  CHECK(end.error().retry == Retry::other_backend);
}

TEST_CASE("a wait ends with a timeout at the deadline, and every later one does so at once") {
  Fixture all;
  all.leg->expires_at(Clock::now() + Milliseconds(20));
  CHECK(run(all.io, all.leg->read_some(all.room())).error().failure == Failure::timeout);
  CHECK(run(all.io, all.leg->read_some(all.room())).error().failure == Failure::timeout);
  // A new deadline is a new chance.
  all.leg->expires_at(Clock::now() + patience);
  all.peer->send("late");
  CHECK(run(all.io, all.leg->read_some(all.room())).value() == 4);
}

TEST_CASE("a deadline that has passed while nobody waited counts, and one that was moved does not") {
  Fixture all;
  all.leg->expires_at(Clock::now() - Milliseconds(1));
  CHECK(run(all.io, all.leg->read_some(all.room())).error().failure == Failure::timeout);
  all.leg->expires_at(Clock::now() - Milliseconds(1));
  all.leg->expires_at(Clock::now() + patience);
  all.peer->send("x");
  CHECK(run(all.io, all.leg->read_some(all.room())).value() == 1);
}

TEST_CASE("a deadline that is moved between two waits, later or earlier, ends the second one when it says") {
  Fixture all;
  const auto read_a_byte_that_comes_later = [&] {
    asio::post(all.io, [&] { asio::post(all.io, [&] { all.peer->send("x"); }); });
    return run(all.io, all.leg->read_some(all.room())).value();
  };
  all.leg->expires_at(Clock::now() + Milliseconds(30'000));
  CHECK(read_a_byte_that_comes_later() == 1);
  all.leg->expires_at(Clock::now() + Milliseconds(200));
  CHECK(read_a_byte_that_comes_later() == 1);
  const TimePoint later = Clock::now() + Milliseconds(400);
  all.leg->expires_at(later);
  CHECK(run(all.io, all.leg->read_some(all.room())).error().failure == Failure::timeout);
  CHECK(Clock::now() >= later);
}

// Story: a peer that always had a byte ready was read without end: no wait, so no look at the deadline.
TEST_CASE("bytes that never stop coming do not outrun the deadline") {
  Fixture all;
  all.peer->send("x");
  all.leg->expires_at(Clock::now() - Milliseconds(1));
  CHECK(run(all.io, all.leg->read_some(all.room())).error().failure == Failure::timeout);
}

TEST_CASE("a peer that is gone is noticed, also behind bytes that nobody has read") {
  Fixture all;
  CHECK_FALSE(all.leg->peer_is_gone());
  all.peer->send("unread");
  pollfd entry{all.descriptor, POLLIN, 0};
  REQUIRE(poll(&entry, 1, 30'000) == 1);
  CHECK_FALSE(all.leg->peer_is_gone());
  all.peer->close();
  entry.events = POLLRDHUP;
  REQUIRE(poll(&entry, 1, 30'000) == 1);
  CHECK(all.leg->peer_is_gone());
}

TEST_CASE("giving up wakes the leg that obeys, and cancels one that comes to obey later") {
  GiveUp give_up;  // outlives the legs
  Fixture all;
  all.leg->obey(&give_up);
  asio::post(all.io, [&] { asio::post(all.io, [&] { give_up.request(); }); });
  CHECK(run(all.io, all.leg->read_some(all.room())).error().failure == Failure::cancelled);
  all.leg->obey(nullptr);
  Fixture late;
  late.leg->obey(&give_up);
  CHECK(run(late.io, late.leg->read_some(late.room())).error().failure == Failure::cancelled);
}

TEST_CASE("cancelling wakes who waits, and nobody waits any more") {
  Fixture all;
  asio::post(all.io, [&] { asio::post(all.io, [&] { all.leg->cancel(); }); });
  CHECK(run(all.io, all.leg->read_some(all.room())).error().failure == Failure::cancelled);
  CHECK(run(all.io, all.leg->read_some(all.room())).error().failure == Failure::cancelled);
}

TEST_CASE("a whole text is written however little goes at once") {
  Fixture all(8192);
  const std::string text(2 * 1024 * 1024, 't');
  std::string got;
  std::optional<bool> written;
  asio::co_spawn(all.io, all.leg->write_all(text),
                 [&](std::exception_ptr, Result<void> outcome) { written = outcome.has_value(); });
  while (got.size() < text.size()) {
    all.io.poll();
    all.io.restart();
    got += all.peer->read_now();
  }
  all.io.poll();
  REQUIRE(written.has_value());
  CHECK(*written);
  CHECK((got == text));
}

TEST_CASE("a write to a peer that never reads ends at the deadline") {
  Fixture all(8192);
  all.leg->expires_at(Clock::now() + Milliseconds(30));
  const std::string text(8 * 1024 * 1024, 't');
  CHECK(run(all.io, all.leg->write_all(text)).error().failure == Failure::timeout);
}

TEST_CASE("lingering lets the peer read our last words, and ends with its FIN") {
  Fixture all;
  const std::string words = "HTTP/1.1 400 Bad Request\r\n\r\n";
  all.peer->send(std::string(50'000, 'r'));  // which we never read
  REQUIRE(run(all.io, all.leg->write_all(words)).has_value());
  bool over = false;
  asio::co_spawn(all.io, all.leg->linger(), [&](std::exception_ptr) { over = true; });
  all.io.restart();
  all.io.poll();
  CHECK_FALSE(over);
  CHECK(all.peer->read_to_end() == words);
  CHECK_FALSE(all.peer->was_reset());
  all.peer->finish();
  all.io.restart();
  const TimePoint deadline = Clock::now() + patience;
  while (!over && Clock::now() < deadline) all.io.run_for(Milliseconds(50));
  CHECK(over);
}

TEST_CASE("lingering ends by itself when the peer never closes") {
  Fixture all;
  CHECK(run(all.io, finished(all.leg->linger())));
}

TEST_CASE("a released leg works on and leaves nothing behind") {
  Fixture all;
  all.leg->expires_at(Clock::now() + patience);
  all.peer->send("one");
  CHECK(run(all.io, all.leg->read_some(all.room())).value() == 3);
  const std::unique_ptr<Leg> released = all.leg->release();
  all.leg.reset();
  all.io.restart();
  all.io.run_for(patience);  // returns at once: no timer and no wait is left
  CHECK(all.io.stopped());
  CHECK(released->write(bytes_of("two")).bytes == 3);
  CHECK(all.peer->read_some() == "two");
}

TEST_CASE("a leg that dies while somebody waits for its alarm is not touched by it") {
  Fixture all;
  all.leg->expires_at(Clock::now() - Milliseconds(1));
  all.leg.reset();
  all.io.restart();
  all.io.run_for(patience);
  CHECK(all.peer->read_to_end().empty());
}

TEST_CASE("a TLS handshake on both sides of one io_context") {
  asio::io_context io{1};
  Pair pair = tcp_pair();
  AsyncLeg server(io, make_tls_server_leg(std::move(pair.ours), *identity().server), Side::client);
  AsyncLeg client(io, make_tls_client_leg(std::move(pair.theirs), *identity().client, "localhost"),
                  Side::backend);
  bool server_done = false;
  asio::co_spawn(io, server.handshake(),
                 [&](std::exception_ptr, Result<void> outcome) { server_done = outcome.has_value(); });
  CHECK(run(io, client.handshake()).has_value());
  io.restart();
  io.run_for(patience);
  CHECK(server_done);
}

TEST_CASE("a TLS handshake with garbage fails as TLS, with nobody at its deadline") {
  {
    asio::io_context io{1};
    Pair pair = tcp_pair();
    AsyncLeg server(io, make_tls_server_leg(std::move(pair.ours), *identity().server), Side::client);
    REQUIRE(send(pair.theirs.get(), "nonsense of any kind", 20, 0) == 20);
    CHECK(run(io, server.handshake()).error().failure == Failure::tls);
  }
  asio::io_context io{1};
  Pair pair = tcp_pair();
  AsyncLeg server(io, make_tls_server_leg(std::move(pair.ours), *identity().server), Side::client);
  server.expires_at(Clock::now() + Milliseconds(20));
  const auto outcome = run(io, server.handshake());
  CHECK(outcome.error().failure == Failure::timeout);
  CHECK(outcome.error().retry == Retry::no);
}

}  // namespace
}  // namespace holdfast::net::test
