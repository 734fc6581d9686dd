// Sessions that outlive their backends: SESSIONS.md section 1 on real sockets.
#include <future>
#include <set>

#include "unit/session/fixture.hpp"

namespace holdfast::session::test {
namespace {

TEST_CASE("a client whose backend dies goes on with another one and sees nothing of it") {
  Rerouting running;
  Ends ends = running.open_and_greet();
  ends.backend.close();
  const auto attempt = running.desk.next();
  CHECK(attempt->cause == Cause::lost);
  CHECK(attempt->reroutes == 1);
  ends.client.send(from_client("while held"));
  End next = running.answer(*attempt, from_backend("early"));
  CHECK(next.expect().payload == "while held");
  CHECK(ends.client.expect().payload == "early");
  next.send(from_backend("answer"));
  CHECK(ends.client.expect().payload == "answer");
  const auto record = running.notes.next_reroute();
  CHECK(record->result == RerouteResult::attached);
  CHECK(record->from == running.backend->address());
  CHECK(record->to == "127.0.0.1:2");
  CHECK(running.other_backend->reroutes_to() == 1);
  CHECK(running.backend->reroutes_from() == 1);
  CHECK(running.backend->sessions() == 0);
}

// Story: a backend that no config has any more stayed in the metrics until the sessions ended that had left
// it.
TEST_CASE("a session that has another backend lets go of the one that it has left") {
  Rerouting running;
  Ends ends = running.open_and_greet();
  ends.backend.send(close_from(ws::Sender::server, 1012));
  End next = running.answer(*running.desk.next());
  ends.client.send(from_client("on"));
  CHECK(next.expect().payload == "on");
  running.sync();
  CHECK(running.backend.use_count() == 1);
}

// Story: with thousands of ends to take, the messages of those whose turn had not come went to dead legs.
TEST_CASE("what clients say while the ends of many legs wait for their turn goes to the next legs") {
  constexpr int many = 60;
  Rerouting running;
  std::vector<Ends> all;
  for (int n = 0; n < many; ++n) all.push_back(running.open_and_greet());
  auto standstill = std::make_unique<Standstill>();
  auto begun = standstill->begun.get_future();
  std::promise<void> go;
  standstill->go = go.get_future();
  running.shard.send(std::move(standstill));
  begun.wait();
  for (Ends& ends : all) ends.backend.close();
  for (int n = 0; n < many; ++n) all[static_cast<std::size_t>(n)].client.send(from_client(std::to_string(n)));
  go.set_value();
  std::set<std::string> got;
  std::vector<End> next;
  for (int n = 0; n < many; ++n) {
    next.push_back(running.answer(*running.desk.next()));
    got.insert(next.back().expect().payload);
  }
  CHECK(got.size() == many);
  CHECK(running.cells.unconfirmed.value() == 0);
}

TEST_CASE("a message of which the dead backend had a part is given to the next one whole") {
  Rerouting running;
  Ends ends = running.open_and_greet();
  const std::string message = from_client("0123456789");
  ends.client.send(message.substr(0, 9));
  CHECK(ends.backend.read_some().size() == 9);
  ends.backend.close();
  const auto attempt = running.desk.next();
  ends.client.send(message.substr(9));
  End next = running.answer(*attempt);
  CHECK(next.expect().payload == "0123456789");
  const auto record = running.notes.next_reroute();
  CHECK(record->resent == 1);
  CHECK(record->undelivered == 0);
  CHECK(record->unconfirmed == 0);
}

TEST_CASE("messages that the dead backend had and did not answer are counted, not given again") {
  Rerouting running;
  Ends ends = running.open_and_greet();
  ends.client.send(from_client("one") + from_client("two"));
  CHECK(ends.backend.expect().payload == "one");
  CHECK(ends.backend.expect().payload == "two");
  ends.backend.close();
  End next = running.answer(*running.desk.next());
  const auto record = running.notes.next_reroute();
  CHECK(record->unconfirmed == 2);
  CHECK(record->undelivered == 0);
  CHECK(running.cells.unconfirmed.value() == 2);
  ends.client.send(from_client("three"));
  CHECK(next.expect().payload == "three");
}

TEST_CASE("with resend unanswered they are given again, once") {
  Rerouting running;
  running.route.resend_unanswered = 1'000;
  Ends ends = running.open_and_greet();
  ends.client.send(from_client("one") + from_client("two"));
  CHECK(ends.backend.expect().payload == "one");
  CHECK(ends.backend.expect().payload == "two");
  ends.backend.close();
  End next = running.answer(*running.desk.next());
  CHECK(next.expect().payload == "one");
  CHECK(next.expect().payload == "two");
  next.close();
  ends.client.send(from_client("three"));
  End third = running.answer(*running.desk.next());
  CHECK(third.expect().payload == "three");
  CHECK(running.notes.next_reroute()->unconfirmed == 0);
  CHECK(running.notes.next_reroute()->unconfirmed == 2);
}

// Story: 260 MB of Pings to a session that was held became 246 MB of Pongs that nobody read.
TEST_CASE("Pings of a held client that reads nothing don't pile up; the latest is answered") {
  Rerouting running;
  Opening how;
  how.proxy_buffers = how.peer_buffers = 4'096;
  Ends ends = running.open_and_greet(how);
  ends.backend.close();
  const auto attempt = running.desk.next();
  constexpr int pings = 20'000;
  std::string all;
  for (int n = 0; n < pings; ++n)
    all += from_client(std::to_string(n) + std::string(100, '.'), ws::Opcode::ping);
  ends.client.send(all);
  Frame pong = ends.client.expect();
  int pongs = 1;
  while (std::stoi(pong.payload) != pings - 1) {
    pong = ends.client.expect();
    ++pongs;
  }
  CHECK(pongs < pings / 2);
  End next = running.answer(*attempt);
  ends.client.send(from_client("on"));
  CHECK(next.expect().payload == "on");
}

// Story: a reload that switched resend from "unanswered" to "incomplete" ended the process.
TEST_CASE("what was kept for a resend may stop being kept while it is there") {
  Rerouting running;
  running.route.resend_unanswered = 1'000;
  Ends ends = running.open_and_greet();
  ends.client.send(from_client("one"));
  CHECK(ends.backend.expect().payload == "one");
  running.route.resend_unanswered = 0;
  ends.backend.send(from_backend("two"));
  CHECK(ends.client.expect().payload == "two");
  ends.client.send(from_client("three"));
  CHECK(ends.backend.expect().payload == "three");
  ends.backend.close();
  End next = running.answer(*running.desk.next());
  CHECK(running.notes.next_reroute()->unconfirmed == 1);
  ends.client.send(from_client("four"));
  CHECK(next.expect().payload == "four");
}

TEST_CASE("of a frame that is not whole the client sees nothing, and the next backend's comes in its place") {
  Rerouting running;
  Ends ends = running.open_and_greet();
  const std::string frame = from_backend(std::string(500, 'x'));
  ends.backend.send(from_backend("whole") + frame.substr(0, 300));
  CHECK(ends.client.expect().payload == "whole");
  ends.backend.close();
  End next = running.answer(*running.desk.next());
  next.send(from_backend("instead"));
  CHECK(ends.client.expect().payload == "instead");
}

TEST_CASE("a frame above hold_bytes is streamed; cut in its middle it ends the connection") {
  Rerouting running;
  Ends ends = running.open_and_greet();
  ends.backend.send(from_backend(std::string(2'000, 'x')).substr(0, 1'500));
  std::size_t got = 0;
  while (got < 1'500) got += ends.client.read_some().size();
  ends.backend.close();
  CHECK(ends.client.read_to_end().empty());
  CHECK(running.notes.next_record()->reason == Reason::cut_mid_frame);
}

TEST_CASE("a fragmented message that was begun can't be finished by another backend") {
  Rerouting running;
  const std::string first = frame(ws::Sender::server, ws::Opcode::text, "first part", false);
  SUBCASE("hold_unit frame: the client has a part, Close 1012") {
    Ends ends = running.open_and_greet();
    ends.backend.send(first);
    CHECK(ends.client.expect().payload == "first part");
    ends.backend.close();
    CHECK(ends.client.expect().code() == 1012);
    ends.client.send(close_from(ws::Sender::client, 1012));
    CHECK(running.notes.next_record()->reason == Reason::cut_mid_message);
  }
  SUBCASE("nor by one that says Close 1001 in the middle of it") {
    Ends ends = running.open_and_greet();
    ends.backend.send(first);
    CHECK(ends.client.expect().payload == "first part");
    ends.backend.send(close_from(ws::Sender::server, 1001));
    CHECK(ends.client.expect().code() == 1012);
    CHECK(ends.backend.close_then_end() != 0);
    ends.client.send(close_from(ws::Sender::client, 1012));
    CHECK(running.notes.next_record()->reason == Reason::cut_mid_message);
  }
  SUBCASE("hold_unit message: the client has nothing of it and goes on") {
    running.route.hold_unit = config::HoldUnit::message;
    Ends ends = running.open_and_greet();
    ends.backend.send(first + frame(ws::Sender::server, ws::Opcode::ping, "between"));
    CHECK(ends.client.expect().opcode == ws::Opcode::ping);
    ends.backend.close();
    End next = running.answer(*running.desk.next());
    next.send(first + frame(ws::Sender::server, ws::Opcode::continuation, ", second"));
    CHECK(ends.client.expect().payload == "first part");
    CHECK(ends.client.expect().payload == ", second");
  }
}

TEST_CASE("Close 1012 of a backend means that it goes, Close 1000 is the application's wish") {
  Rerouting running;
  Ends ends = running.open_and_greet();
  SUBCASE("1012") {
    ends.backend.send(close_from(ws::Sender::server, 1012));
    CHECK(ends.backend.close_then_end() == 1012);
    const auto attempt = running.desk.next();
    CHECK(attempt->cause == Cause::closing);
    End next = running.answer(*attempt);
    next.send(from_backend("on we go"));
    CHECK(ends.client.expect().payload == "on we go");
  }
  SUBCASE("1000") {
    ends.backend.send(close_from(ws::Sender::server, 1000));
    CHECK(ends.client.expect().code() == 1000);
  }
}

TEST_CASE(
    "the client's Ping that the dead backend did not answer is answered by us, and those while it is held") {
  Rerouting running;
  Ends ends = running.open_and_greet();
  ends.client.send(from_client("are you there", ws::Opcode::ping));
  CHECK(ends.backend.expect().opcode == ws::Opcode::ping);
  ends.backend.close();
  const Frame pong = ends.client.expect();
  CHECK(pong.opcode == ws::Opcode::pong);
  CHECK(pong.payload == "are you there");
  const auto attempt = running.desk.next();
  ends.client.send(from_client("and now", ws::Opcode::ping));
  CHECK(ends.client.expect().payload == "and now");
  End next = running.answer(*attempt);
  ends.client.send(from_client("message"));
  CHECK(next.expect().payload == "message");
}

TEST_CASE("nobody in time: Close 1013") {
  Rerouting running;
  running.route.hold_ms = 50;
  Ends ends = running.open_and_greet();
  ends.backend.close();
  running.refuse(*running.desk.next(), AttemptResult::nobody);
  CHECK(ends.client.expect().code() == 1013);
  CHECK(running.notes.next_reroute()->result == RerouteResult::no_backend);
  CHECK(running.notes.next_record()->reason == Reason::no_backend);
}

TEST_CASE("a refusal by another backend is final") {
  Rerouting running;
  Ends ends = running.open_and_greet();
  ends.backend.close();
  running.refuse(*running.desk.next(), AttemptResult::refused);
  CHECK(ends.client.expect().code() == 1012);
  CHECK(running.notes.next_record()->reason == Reason::reroute_refused);
}

TEST_CASE("a client that closes while it is held gets its messages delivered by an attempt under way") {
  Rerouting running;
  Ends ends = running.open_and_greet();
  ends.backend.close();
  const auto attempt = running.desk.next();
  ends.client.send(from_client("last words") + close_from(ws::Sender::client, 4000));
  SUBCASE("it comes in time") {
    End next = running.answer(*attempt);
    CHECK(next.expect().payload == "last words");
    CHECK(next.expect().code() == 4000);
    next.send(close_from(ws::Sender::server, 4000));
    CHECK(ends.client.close_then_end() == 4000);
  }
  SUBCASE("it fails") {
    running.refuse(*attempt, AttemptResult::no_way);
    CHECK(ends.client.close_then_end() == 4000);
  }
  CHECK(running.notes.next_record()->reason == Reason::client_closed);
}

TEST_CASE("a move: the new leg is there before the old one is told, whose last words come first") {
  Rerouting running;
  Ends ends = running.open_and_greet();
  running.move(Cause::draining);
  const auto attempt = running.desk.next();
  CHECK(attempt->cause == Cause::draining);
  CHECK(attempt->exclude.back() == running.backend.get());
  ends.client.send(from_client("to the old one"));
  CHECK(ends.backend.expect().payload == "to the old one");
  End next = running.answer(*attempt);
  CHECK(ends.backend.expect().code() == 1001);
  next.send(from_backend("from the new one"));
  ends.client.send(from_client("to the new one"));
  CHECK(next.expect().payload == "to the new one");
  ends.backend.send(from_backend("from the old one") + close_from(ws::Sender::server, 1001));
  CHECK(ends.client.expect().payload == "from the old one");
  CHECK(ends.client.expect().payload == "from the new one");
  CHECK(ends.backend.read_to_end().empty());
  const auto record = running.notes.next_reroute();
  CHECK(record->result == RerouteResult::attached);
  CHECK(record->unconfirmed == 0);
}

TEST_CASE("a move waits for the end of the client's message under way") {
  Rerouting running;
  Ends ends = running.open_and_greet();
  running.move(Cause::unhealthy);
  const auto attempt = running.desk.next();
  const std::string message = from_client("0123456789");
  ends.client.send(message.substr(0, 9));
  CHECK(ends.backend.read_some() == message.substr(0, 9));
  End next = running.answer(*attempt);
  running.sync();
  ends.client.send(message.substr(9) + from_client("next"));
  ends.backend.rest = message.substr(0, 9);
  CHECK(ends.backend.expect().payload == "0123456789");
  CHECK(ends.backend.expect().code() == 1001);
  CHECK(next.expect().payload == "next");
}

TEST_CASE("a move that finds nobody leaves the session where it is") {
  Rerouting running;
  Ends ends = running.open_and_greet();
  running.move(Cause::unhealthy);
  running.refuse(*running.desk.next(), AttemptResult::nobody);
  CHECK(running.notes.next_reroute()->result == RerouteResult::stayed);
  ends.client.send(from_client("still here"));
  CHECK(ends.backend.expect().payload == "still here");
}

TEST_CASE("a replacement that ends before it is used is let go, and the leg that works stays") {
  Rerouting running;
  Ends ends = running.open_and_greet();
  const std::string message = from_client("0123456789");
  ends.client.send(message.substr(0, 9));
  CHECK(ends.backend.read_some() == message.substr(0, 9));
  running.move(Cause::unhealthy);
  running.answer(*running.desk.next()).close();
  CHECK(running.notes.next_reroute()->result == RerouteResult::stayed);
  ends.client.send(message.substr(9) + from_client("next"));
  ends.backend.rest = message.substr(0, 9);
  CHECK(ends.backend.expect().payload == "0123456789");
  CHECK(ends.backend.expect().payload == "next");
}

TEST_CASE("a more urgent order overtakes a move that waits for a boundary") {
  Rerouting running;
  Ends ends = running.open_and_greet();
  ends.client.send(from_client("0123456789").substr(0, 9));
  CHECK(ends.backend.read_some().size() == 9);
  running.move(Cause::draining);
  running.move(Cause::unhealthy);
  CHECK(running.desk.next()->cause == Cause::unhealthy);
}

TEST_CASE("break_first: the old leg ends before the next one is asked for") {
  Rerouting running;
  running.route.move = config::MoveOrder::break_first;
  Ends ends = running.open_and_greet();
  running.move(Cause::draining);
  CHECK(ends.backend.expect().code() == 1001);
  ends.client.send(from_client("kept"));
  ends.backend.send(from_backend("goodbye") + close_from(ws::Sender::server, 1001));
  CHECK(ends.client.expect().payload == "goodbye");
  End next = running.answer(*running.desk.next());
  CHECK(next.expect().payload == "kept");
  CHECK(running.notes.next_reroute()->unconfirmed == 0);
}

TEST_CASE("the preamble goes to each new backend first, and its answers are swallowed") {
  Rerouting running;
  running.route.preamble = 2;
  running.route.preamble_answers = 1;
  Ends ends = running.open();
  ends.client.send(from_client("login"));
  CHECK(ends.backend.expect().payload == "login");
  ends.backend.send(from_backend("welcome"));
  CHECK(ends.client.expect().payload == "welcome");
  ends.client.send(from_client("subscribe") + from_client("third"));
  CHECK(ends.backend.expect().payload == "subscribe");
  CHECK(ends.backend.expect().payload == "third");
  ends.backend.close();
  End next = running.answer(*running.desk.next());
  CHECK(next.expect().payload == "login");
  CHECK(next.expect().payload == "subscribe");
  next.send(from_backend("welcome") + from_backend("news"));
  CHECK(ends.client.expect().payload == "news");
  ends.client.send(from_client("fourth"));
  CHECK(next.expect().payload == "fourth");
}

TEST_CASE("with reroutes off a lost backend closes its client") {
  Running running;
  Ends ends = running.open_and_greet();
  ends.backend.close();
  CHECK(ends.client.expect().code() == 1012);
}

}  // namespace
}  // namespace holdfast::session::test
