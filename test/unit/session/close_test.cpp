// LIFECYCLE.md, the rows about a Close: who sent it, who answers, what precedes it.
#include <doctest/doctest.h>

#include "unit/session/fixture.hpp"

namespace holdfast::session::test {
namespace {

using ws::Opcode;
using ws::Sender;

TEST_CASE("a client's Close passes with code and reason, and so does the backend's answer") {
  constexpr std::uint16_t codes[] = {1000, 1001, 1011, 3000, 4999};
  for (const std::uint16_t code : codes) {
    Running running;
    Ends ends = running.open_and_greet();
    ends.client.send(close_from(Sender::client, code, "bye, backend"));
    const Frame got = ends.backend.expect();
    CHECK(got.opcode == Opcode::close);
    CHECK(got.masked);
    CHECK(got.code() == code);
    CHECK(got.payload.substr(2) == "bye, backend");
    ends.backend.send(close_from(Sender::server, code, "bye, client"));
    const Frame answer = ends.client.expect();
    CHECK(answer.code() == code);
    CHECK(answer.payload.substr(2) == "bye, client");
    CHECK(ends.client.read_to_end().empty());
    CHECK(ends.backend.read_to_end().empty());
    const auto record = running.notes.next_record();
    CHECK(record->reason == Reason::client_closed);
    CHECK(record->closed_by == ClosedBy::client);
    CHECK(record->close_code == code);
    CHECK(record->to_backend.frames == 2);
    CHECK(record->to_client.frames == 2);
  }
}

TEST_CASE("a backend's Close passes with code and reason, and so does the client's answer") {
  Running running;
  Ends ends = running.open_and_greet();
  ends.backend.send(close_from(Sender::server, 4001, "go away"));
  const Frame got = ends.client.expect();
  CHECK(got.code() == 4001);
  CHECK(got.payload.substr(2) == "go away");
  CHECK_FALSE(got.masked);
  ends.client.send(close_from(Sender::client, 4002));
  CHECK(ends.backend.close_then_end() == 4002);
  CHECK(ends.client.read_to_end().empty());
  const auto record = running.notes.next_record();
  CHECK(record->reason == Reason::backend_closed);
  CHECK(record->closed_by == ClosedBy::backend);
  CHECK(record->close_code == 4001);
  CHECK(running.sessions.open.value() == 0);
  CHECK(running.shard.load() == 0);
}

// Story: a backend whose FIN is here is closed without a look at what else it has sent, if the last read came
// back short. What has not been read would make the kernel answer with a reset.
TEST_CASE("a backend that ends behind its Close gets a FIN, however much comes between the two") {
  for (const std::size_t behind : {0, 1, 1'000, 32 * 1024, 40 * 1024, 60 * 1024}) {
    CAPTURE(behind);
    Running running;
    Ends ends = running.open_and_greet();
    ends.client.send(close_from(Sender::client, 1000));
    CHECK(ends.backend.expect().code() == 1000);
    auto standstill = std::make_unique<Standstill>();  // so that the FIN is known at the first read
    auto begun = standstill->begun.get_future();
    std::promise<void> go;
    standstill->go = go.get_future();
    running.shard.send(std::move(standstill));
    begun.wait();
    ends.backend.send(close_from(Sender::server, 1000) + std::string(behind, 'x'));
    ends.backend.finish();
    go.set_value();
    CHECK(ends.client.close_then_end() == 1000);
    CHECK(ends.backend.read_to_end().empty());
    CHECK_FALSE(ends.backend.was_reset());
  }
}

TEST_CASE("an empty Close stays empty both ways") {
  Running running;
  Ends ends = running.open_and_greet();
  ends.client.send(close_from(Sender::client, 0));
  CHECK(ends.backend.expect().payload.empty());
  ends.backend.send(close_from(Sender::server, 0));
  const Frame answer = ends.client.expect();
  CHECK(answer.opcode == Opcode::close);
  CHECK(answer.payload.empty());
  CHECK(running.notes.next_record()->close_code == ws::close_code_none);
}

TEST_CASE("a Close follows what precedes it in the same batch, and nothing follows it") {
  Running running;
  Ends ends = running.open_and_greet();
  ends.client.send(from_client("one") + from_client("two") + close_from(Sender::client, 1000) +
                   from_client("three"));
  CHECK(ends.backend.expect().payload == "one");
  CHECK(ends.backend.expect().payload == "two");
  CHECK(ends.backend.expect().code() == 1000);
  // The backend may still finish what it was saying.
  ends.backend.send(from_backend("last words") + close_from(Sender::server, 1000) + from_backend("late"));
  CHECK(ends.client.expect().payload == "last words");
  CHECK(ends.client.close_then_end() == 1000);
  CHECK(ends.backend.read_to_end().empty());
}

TEST_CASE("Closes that cross each other end the session at once") {
  Running running;
  Ends ends = running.open_and_greet();
  ends.client.send(close_from(Sender::client, 3001));
  ends.backend.send(close_from(Sender::server, 3002));
  CHECK(ends.backend.close_then_end() == 3001);
  CHECK(ends.client.close_then_end() == 3002);
  const auto record = running.notes.next_record();
  CHECK((record->close_code == 3001 || record->close_code == 3002));
}

TEST_CASE("a Close without an answer is answered by the proxy after close_timeout") {
  Running running;
  running.route.close_timeout_ms = 30;
  {
    Ends ends = running.open_and_greet();
    ends.client.send(close_from(Sender::client, 3456));
    CHECK(ends.client.close_then_end() == 3456);
    CHECK(ends.backend.close_then_end() == 3456);
    CHECK(running.notes.next_record()->reason == Reason::client_closed);
  }
  {
    Ends ends = running.open_and_greet();
    ends.backend.send(close_from(Sender::server, 0));
    CHECK(ends.client.close_then_end() == 0);
    const Frame answer = ends.backend.expect();
    CHECK(answer.opcode == Opcode::close);
    CHECK(answer.masked);
    CHECK(answer.payload.empty());
    CHECK(running.notes.next_record()->reason == Reason::backend_closed);
  }
}

TEST_CASE("a Close that the other side answers with a FIN only is answered by the proxy at once") {
  Running running;
  Ends ends = running.open_and_greet();
  ends.client.send(close_from(Sender::client, 1000));
  CHECK(ends.backend.expect().code() == 1000);
  ends.backend.close();
  CHECK(ends.client.close_then_end() == 1000);
  CHECK(running.notes.next_record()->reason == Reason::client_closed);
}

TEST_CASE("the answer to a client's Close waits for the end of a large frame that is passing") {
  Running running;
  Ends ends = running.open_and_greet();
  const std::string large = from_backend(std::string(300'000, 'x'), Opcode::binary);
  const std::size_t cut = large.size() / 2;
  ends.backend.send(large.substr(0, cut));
  std::string seen;
  while (seen.size() < cut) seen += ends.client.read_some();
  ends.client.send(close_from(Sender::client, 1000));
  CHECK(ends.backend.expect().code() == 1000);
  ends.backend.send(large.substr(cut) + close_from(Sender::server, 1000));
  seen += ends.client.read_to_end();
  CHECK((seen == large + close_from(Sender::server, 1000)));
}

TEST_CASE("a Close of the proxy's waits for the end of a large frame that is passing") {
  Running running;
  Ends ends = running.open_and_greet();
  const std::string large = from_backend(std::string(300'000, 'y'), Opcode::binary);
  const std::size_t cut = 100'000;
  ends.backend.send(large.substr(0, cut));
  std::string seen;
  while (seen.size() < cut) seen += ends.client.read_some();
  running.shard.send(std::make_unique<EndSessions>(Reason::drain, Milliseconds(0)));
  // A second session tells when the shard has dealt with that: it is sent away at once.
  Ends witness = running.open();
  CHECK(witness.client.expect().code() == 1001);
  ends.backend.send(large.substr(cut) + from_backend("too late"));
  ends.client.rest = seen;
  CHECK((ends.client.expect().payload == std::string(300'000, 'y')));
  CHECK(ends.client.expect().code() == 1001);
  ends.client.send(close_from(Sender::client, 1001));
  CHECK(ends.backend.expect().code() == 1001);
  CHECK(ends.client.read_to_end().empty());
}

TEST_CASE("a Close of the proxy's that finds no frame boundary within close_timeout is not sent") {
  Running running;
  running.route.close_timeout_ms = 30;
  running.route.hold_bytes = 0;
  Ends ends = running.open_and_greet();
  const std::string half = from_backend(std::string(1000, 'z')).substr(0, 500);
  ends.backend.send(half);
  std::string seen;
  while (seen.size() < half.size()) seen += ends.client.read_some();
  running.shard.send(std::make_unique<EndSessions>(Reason::drain, Milliseconds(0)));
  CHECK(ends.client.read_to_end().empty());
  CHECK((seen == half));
  CHECK(running.notes.next_record()->reason == Reason::drain);
}

TEST_CASE("a Close is relayed through TLS with close_notify behind it") {
  Running running;
  Ends ends = running.open_and_greet({.client = ClientLeg::tls});
  ends.client.send(close_from(Sender::client, 1000));
  CHECK(ends.backend.expect().code() == 1000);
  ends.backend.send(close_from(Sender::server, 1000));
  CHECK(ends.client.close_then_end() == 1000);
}

}  // namespace
}  // namespace holdfast::session::test
