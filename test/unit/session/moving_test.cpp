// Planned moves seen by slow clients: no word of the old backend is lost, however long the client takes.
#include <doctest/doctest.h>

#include "unit/session/fixture.hpp"

namespace holdfast::session::test {
namespace {

using ws::Sender;

// A client that does not read: what its backend said is in the way between them.
struct Slow : Rerouting {
  Slow() {
    route.close_timeout_ms = 50;
    Opening how;
    how.proxy_buffers = how.peer_buffers = 16 * 1024;
    ends.emplace(open_and_greet(how));
    while (sent < stream.size() && ends->backend.wait(POLLOUT, Milliseconds(100)))
      sent += ends->backend.send_some(std::string_view(stream).substr(sent));
    REQUIRE(sent < stream.size());
  }
  static std::string messages() {
    std::string all;
    for (char n = 'a'; all.size() < 2 * 1024 * 1024; n = n == 'z' ? 'a' : static_cast<char>(n + 1))
      all += from_backend(std::string(700, n));
    return all;
  }
  // The client reads, and the backend goes on with what it had begun to say, and then with `last`.
  void catch_up(const std::string& last) {
    route.close_timeout_ms = 60'000;  // how fast this goes is not the matter
    stream += last;
    std::string got;
    while (got.size() < stream.size() - last.size()) {
      if (sent < stream.size()) sent += ends->backend.send_some(std::string_view(stream).substr(sent));
      got += ends->client.read_some();
      REQUIRE_FALSE(ends->client.ended());
    }
    ends->client.rest = got.substr(stream.size() - last.size());
    CHECK((stream.substr(0, stream.size() - last.size()) == got.substr(0, stream.size() - last.size())));
  }
  std::string stream = messages();
  std::size_t sent = 0;
  std::optional<Ends> ends;
};

// Story: after close_timeout what had not been read of the old backend was thrown away, though it had
// answered its Close.
TEST_CASE("the old backend's time does not run while its client is slow") {
  Slow slow;
  slow.move(Cause::unhealthy);
  End next = slow.answer(*slow.desk.next());
  CHECK(slow.ends->backend.expect().code() == 1001);
  next.send(from_backend("from the next one"));
  CHECK_FALSE(slow.ends->backend.wait(POLLIN, Milliseconds(300)));  // it would see our FIN
  slow.catch_up(close_from(Sender::server, 1001));
  CHECK(slow.ends->client.expect().payload == "from the next one");
}

TEST_CASE("a move that can wait does not begin while the client is blocked") {
  for (const auto order : {config::MoveOrder::make_first, config::MoveOrder::break_first}) {
    Slow slow;
    slow.route.move = order;
    slow.move(Cause::draining);
    CHECK_FALSE(slow.ends->backend.wait(POLLIN, Milliseconds(300)));
    CHECK(slow.desk.is_idle());
    slow.catch_up("");
    if (order == config::MoveOrder::break_first) {
      CHECK(slow.ends->backend.expect().code() == 1001);
      slow.ends->backend.send(close_from(Sender::server, 1001));
    }
    End next = slow.answer(*slow.desk.next());
    if (order == config::MoveOrder::make_first) CHECK(slow.ends->backend.expect().code() == 1001);
    slow.ends->client.send(from_client("to the next one"));
    CHECK(next.expect().payload == "to the next one");
  }
}

// Story: a client that read nothing for close_timeout lost what its dead backend had sent.
TEST_CASE("what a dead backend had sent waits for its client") {
  Slow slow;
  const std::string said = slow.stream.substr(0, slow.sent);
  slow.ends->backend.close();
  CHECK_FALSE(slow.ends->client.wait(POLLHUP, Milliseconds(300)));
  CHECK(slow.desk.is_idle());
  std::string got;
  const std::size_t whole = said.size() - said.size() % from_backend(std::string(700, 'a')).size();
  while (got.size() < whole && !slow.ends->client.ended()) got += slow.ends->client.read_some();
  CHECK((said.substr(0, whole) == got));
  End next = slow.answer(*slow.desk.next());
  next.send(from_backend("instead"));
  CHECK(slow.ends->client.expect().payload == "instead");
}

// Story: a client that writes before it reads waited for ever when its backend died: it was not read, because
// what that one had sent waited for it.
TEST_CASE("a client that reads nothing gets another backend to write to when its own is dead") {
  Slow slow;
  slow.route.resend_unanswered = 1'000;
  slow.ends->backend.close();
  slow.ends->client.send(from_client("first I write"));  // the answer is a reset: it is dead
  End next = slow.answer(*slow.desk.next());
  CHECK(next.expect().payload == "first I write");
  const std::string behind = from_backend("behind it");
  next.send(behind);
  std::string got;
  while (!got.ends_with(behind) && !slow.ends->client.ended()) got += slow.ends->client.read_some();
  const std::size_t before = got.size() - behind.size();
  CHECK(before > 0);
  CHECK(before % from_backend(std::string(700, 'a')).size() == 0);
  CHECK((slow.stream.substr(0, before) == got.substr(0, before)));
}

// Story: the old leg had its Close before anybody was asked, and the client ended with 1013.
TEST_CASE("break_first: where nobody else is there the session stays") {
  Rerouting running;
  running.route.move = config::MoveOrder::break_first;
  running.desk.places = AttemptResult::nobody;
  Ends ends = running.open_and_greet();
  running.move(Cause::draining);
  CHECK(running.notes.next_reroute()->result == RerouteResult::stayed);
  CHECK_FALSE(ends.backend.wait(POLLIN, Milliseconds(50)));
  ends.client.send(from_client("still here"));
  CHECK(ends.backend.expect().payload == "still here");
  CHECK(running.pump_cells.stranded.value() == 1);
  running.desk.places = AttemptResult::ready;  // asked again after 2 to 4 s
  CHECK(ends.backend.expect().code() == 1001);
  CHECK(running.pump_cells.stranded.value() == 1);
  ends.backend.close();
  End next = running.answer(*running.desk.next());
  ends.client.send(from_client("there"));
  CHECK(next.expect().payload == "there");
  CHECK(running.pump_cells.stranded.value() == 0);
}

// Story: how many answers a new backend would give in vain was settled before the old one had given its own.
TEST_CASE("a preamble's answer comes once, also when a move overtakes it") {
  Rerouting running;
  running.route.preamble = running.route.preamble_answers = 1;
  Ends ends = running.open();
  ends.client.send(from_client("login"));
  CHECK(ends.backend.expect().payload == "login");
  running.move(Cause::unhealthy);
  End next = running.answer(*running.desk.next());
  CHECK(next.expect().payload == "login");
  CHECK(ends.backend.expect().code() == 1001);
  next.send(from_backend("welcome again") + from_backend("news"));
  ends.backend.send(from_backend("welcome") + close_from(Sender::server, 1001));
  CHECK(ends.client.expect().payload == "welcome");
  CHECK(ends.client.expect().payload == "news");
}

// Story: the swallowed answer to the login was taken for an answer to what followed it.
TEST_CASE("a swallowed answer answers the preamble only") {
  Rerouting running;
  running.route.preamble = running.route.preamble_answers = 1;
  running.route.resend_unanswered = 1'000;
  Ends ends = running.open();
  ends.client.send(from_client("login"));
  CHECK(ends.backend.expect().payload == "login");
  ends.backend.send(from_backend("welcome"));
  CHECK(ends.client.expect().payload == "welcome");
  ends.backend.close();
  End next = running.answer(*running.desk.next());
  CHECK(next.expect().payload == "login");
  ends.client.send(from_client("order"));
  CHECK(next.expect().payload == "order");
  next.send(from_backend("welcome"));
  ends.client.send(from_client("another", ws::Opcode::ping));  // behind which the proxy has read that
  CHECK(next.expect().payload == "another");
  next.send(from_backend("another", ws::Opcode::pong));
  CHECK(ends.client.expect().opcode == ws::Opcode::pong);
  next.close();
  End third = running.answer(*running.desk.next());
  CHECK(third.expect().payload == "login");
  CHECK(third.expect().payload == "order");
}

// Story: that the old backend answered our Close was taken for its answer to what it had read before.
TEST_CASE("a Close is no answer to the client's messages") {
  for (const auto order : {config::MoveOrder::make_first, config::MoveOrder::break_first}) {
    Rerouting running;
    running.route.resend_unanswered = 1'000;
    running.route.move = order;
    Ends ends = running.open_and_greet();
    ends.client.send(from_client("request"));
    CHECK(ends.backend.expect().payload == "request");
    std::optional<End> next;
    if (order == config::MoveOrder::make_first) {
      running.move(Cause::unhealthy);
      next.emplace(running.answer(*running.desk.next()));
    } else {
      running.move(Cause::draining);  // after the 5 s in which it might have been answered
    }
    CHECK(ends.backend.expect().code() == 1001);
    ends.backend.send(close_from(Sender::server, 1001));
    if (!next) next.emplace(running.answer(*running.desk.next()));
    CHECK(ends.backend.read_to_end().empty());
    ends.client.send(from_client("another"));
    CHECK(next->expect().payload == "another");  // the old one works: nothing is given again
    CHECK(running.cells.unconfirmed.value() == 1);
    CHECK(running.cells.undelivered.value() == 0);
    CHECK(running.notes.next_reroute()->unconfirmed == 1);
  }
}

// Story: the record of a move was written at the switch, with a pause of 0.
TEST_CASE("the pause of a move lasts from our Close to the end of the old backend's words") {
  for (const auto order : {config::MoveOrder::make_first, config::MoveOrder::break_first}) {
    Rerouting running;
    running.route.move = order;
    Ends ends = running.open_and_greet();
    running.move(Cause::draining);
    std::optional<End> next;
    if (order == config::MoveOrder::make_first) next.emplace(running.answer(*running.desk.next()));
    CHECK(ends.backend.expect().code() == 1001);
    std::this_thread::sleep_for(Milliseconds(60));
    ends.backend.send(close_from(Sender::server, 1001));
    if (!next) next.emplace(running.answer(*running.desk.next()));
    next->send(from_backend("here I am"));
    CHECK(ends.client.expect().payload == "here I am");
    const auto record = running.notes.next_reroute();
    CHECK(record->result == RerouteResult::attached);
    CHECK(record->pause >= Milliseconds(50));
    CHECK(record->to == "127.0.0.1:2");
    CHECK(running.pump_cells.reroute_duration.sum_seconds() >= 0.05);
  }
}

// The record of a move whose session ends before the old backend has ended.
TEST_CASE("a move is told of, also when the client leaves before the old backend does") {
  Rerouting running;
  Ends ends = running.open_and_greet();
  running.move(Cause::draining);
  const End next = running.answer(*running.desk.next());
  CHECK(ends.backend.expect().code() == 1001);
  running.route.close_timeout_ms = 50;
  ends.client.close();
  CHECK(running.notes.next_record()->reason == Reason::client_vanished);
  CHECK(running.notes.next_reroute()->result == RerouteResult::attached);
}

// Story: whatever came behind our Close was taken for its answer.
TEST_CASE("break_first: a Close of the application's or the client's crosses ours") {
  Rerouting running;
  running.route.move = config::MoveOrder::break_first;
  Ends ends = running.open_and_greet();
  running.move(Cause::draining);
  CHECK(ends.backend.expect().code() == 1001);
  SUBCASE("the application's wish is forwarded") {
    ends.backend.send(close_from(Sender::server, 4001));
    CHECK(ends.client.expect().code() == 4001);
    ends.client.send(close_from(Sender::client, 4001));
    CHECK(running.notes.next_record()->reason == Reason::backend_closed);
  }
  SUBCASE("the client gets the answer to its own") {
    ends.client.send(close_from(Sender::client, 1000));
    CHECK_FALSE(ends.backend.wait(POLLIN, Milliseconds(50)));
    ends.backend.send(close_from(Sender::server, 1001));
    CHECK(ends.client.close_then_end() == 1000);
    CHECK(running.notes.next_record()->reason == Reason::client_closed);
  }
  SUBCASE("and what it had said before that is delivered") {
    ends.client.send(from_client("last words") + close_from(Sender::client, 1000));
    End next = running.answer(*running.desk.next());
    CHECK(next.expect().payload == "last words");
    CHECK(next.expect().code() == 1000);
    next.send(close_from(Sender::server, 1000));
    CHECK(ends.client.close_then_end() == 1000);
    CHECK(running.cells.undelivered.value() == 0);
  }
}

// Story: those that were swallowed counted as answers that the client got.
TEST_CASE("no more answers to the preamble are swallowed than the client has got") {
  Rerouting running;
  running.route.preamble = running.route.preamble_answers = 2;
  Ends ends = running.open();
  ends.client.send(from_client("login") + from_client("subscribe"));
  CHECK(ends.backend.expect().payload == "login");
  CHECK(ends.backend.expect().payload == "subscribe");
  running.route.preamble_answers = 0;  // a reload: not for sessions that are open
  ends.backend.send(from_backend("welcome"));
  CHECK(ends.client.expect().payload == "welcome");
  ends.backend.close();
  End second = running.answer(*running.desk.next());
  second.send(from_backend("welcome at the second"));
  CHECK(second.expect().payload == "login");
  CHECK(second.expect().payload == "subscribe");
  second.close();
  End third = running.answer(*running.desk.next());
  third.send(from_backend("welcome at the third") + from_backend("subscribed"));
  CHECK(ends.client.expect().payload == "subscribed");
}

// Story: only the order asked whether the session can be moved; what it began went on.
TEST_CASE("a move is off when the client begins to compress with a context") {
  Rerouting running;
  Opening how;
  how.continuity = Continuity::until_used;
  how.allowed_rsv = ws::rsv1;
  Ends ends = running.open_and_greet(how);
  std::string compressed = from_client("squeezed");
  compressed[0] = static_cast<char>(compressed[0] | ws::rsv1);
  running.move(Cause::unhealthy);
  const auto attempt = running.desk.next();
  ends.client.send(compressed);
  CHECK(ends.backend.expect().payload == "squeezed");
  CHECK(attempt->withdrawn->load());
  End unused = running.answer(*attempt);
  CHECK_FALSE(unused.next());
  CHECK(running.notes.next_reroute()->result == RerouteResult::stayed);
  ends.client.send(compressed);
  CHECK(ends.backend.expect().payload == "squeezed");
}

// Story: what an order had said of a removed backend was believed for ever, also when a reload brought it
// back: its sessions went on leaving it, and counted as stranded.
TEST_CASE("a session of a backend that was removed and is back stays, and is not stranded") {
  Rerouting running;
  const Ends ends = running.open_and_greet();
  running.move(Cause::removed);
  auto attempt = running.desk.next();
  running.refuse(*attempt, AttemptResult::nobody);
  CHECK(running.notes.next_reroute()->result == RerouteResult::stayed);
  running.sync();
  CHECK(running.pump_cells.stranded.value() == 1);
  attempt = running.desk.next();  // it tries again
  running.backend->set_member(true);
  running.refuse(*attempt, AttemptResult::nobody);
  running.sync();
  CHECK(running.pump_cells.stranded.value() == 0);
}

TEST_CASE("a session that comes late to a removed backend leaves it") {
  Rerouting running;
  running.backend->set_member(false);
  const Ends ends = running.open_and_greet();
  CHECK(running.desk.next()->cause == Cause::removed);
}

// Story: a hand-over lasted as long as its client read nothing, also when its target was disabled.
TEST_CASE("a disabled backend loses its sessions after 5 s, also those that are being handed over to it") {
  Slow slow;
  slow.move(Cause::unhealthy);
  const End next = slow.answer(*slow.desk.next());
  CHECK(slow.ends->backend.expect().code() == 1001);
  slow.other_backend->set_admin_state(upstream::AdminState::disabled);
  slow.shard.send(
      std::make_unique<MoveSessions>(MoveSessions::Backends{slow.other_backend}, Cause::disabled, 1));
  CHECK(slow.desk.next()->cause == Cause::disabled);
}

}  // namespace
}  // namespace holdfast::session::test
