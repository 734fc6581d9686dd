// Orders to leave a backend: who takes them, and what becomes of those that are taken back.
#include <doctest/doctest.h>

#include "unit/session/fixture.hpp"

namespace holdfast::session::test {
namespace {

using ws::Sender;

// Story: sessions that can't move were counted, so a rebalance chose the same immovable ones for ever.
TEST_CASE("an order for some of the sessions passes over those that can't move") {
  Rerouting running;
  const Ends fixed = running.open_and_greet({.continuity = Continuity::none});
  const Ends first = running.open_and_greet();
  const auto even_out = [&] {
    running.shard.send(
        std::make_unique<MoveSessions>(MoveSessions::Backends{running.backend}, Cause::rebalance, 1));
  };
  even_out();
  const auto attempt = running.desk.next();
  const Ends second = running.open_and_greet();
  even_out();  // the first is on its way
  CHECK(running.desk.next()->session != attempt->session);
}

// Story: only sessions that could be moved were given 5 s to leave a disabled backend; the others stayed.
TEST_CASE("what has not left a disabled backend after 5 s is lost, also what can't be moved") {
  Rerouting running;
  running.route.reroute_on = bit(Occasion::lost);
  Ends fixed = running.open_and_greet({.continuity = Continuity::none});
  Ends ends = running.open_and_greet();
  const TimePoint begun = Clock::now();
  running.move(Cause::disabled);
  const auto attempt = running.desk.next();
  CHECK(Clock::now() - begun >= Milliseconds(4'900));
  CHECK(attempt->cause == Cause::disabled);
  End next = running.answer(*attempt);
  ends.client.send(from_client("to the next one"));
  CHECK(next.expect().payload == "to the next one");
  CHECK(fixed.client.close_then_end() == 1012);
  CHECK(running.notes.next_record()->reason == Reason::backend_lost);
}

std::string state_of_the_only(Running& running) {
  auto order = std::make_unique<ListSessions>();
  order->most = 1;
  auto answer = order->answer.get_future();
  running.shard.send(std::move(order));
  return answer.get().at(0).state;
}

// Story: a drain that was called off while its sessions waited for a quiet point moved them all the same.
TEST_CASE("a session that waits for a quiet point stays when its backend is back") {
  Rerouting running;
  Ends ends = running.open_and_greet();
  ends.client.send(from_client("request"));  // unanswered
  CHECK(ends.backend.expect().payload == "request");
  running.move(Cause::draining);
  const TimePoint deadline = Clock::now() + patience;
  while (state_of_the_only(running) != "moving") REQUIRE(Clock::now() < deadline);
  running.backend->set_admin_state(upstream::AdminState::active);
  CHECK(running.notes.next_reroute()->result == RerouteResult::stayed);
  CHECK(running.desk.is_idle());
}

// Story: it was told once, and the second order to disable found the time of the first one running.
TEST_CASE("who is disabled again, not having been looked at meanwhile, has its 5 s again") {
  Rerouting running;
  running.route.reroute_on = bit(Occasion::lost);
  Ends ends = running.open_and_greet();
  running.move(Cause::disabled);
  std::this_thread::sleep_for(Milliseconds(500));
  running.backend->set_admin_state(upstream::AdminState::active);
  const TimePoint again = Clock::now();
  running.move(Cause::disabled);
  CHECK(running.desk.next()->cause == Cause::disabled);
  CHECK(Clock::now() - again >= Milliseconds(4'900));
}

struct HandingOver : Rerouting {
  HandingOver() {
    move(Cause::draining);
    next.emplace(answer(*desk.next()));
    CHECK(ends.backend.expect().code() == 1001);  // which it does not answer yet
  }
  Ends ends = open_and_greet();
  std::optional<End> next;
};

// Story: the operator was told 200, and the session stayed.
TEST_CASE("a session that is being handed over can't be moved on request, and says so") {
  HandingOver running;
  const auto ask = [&] {
    auto order = std::make_unique<SessionOrder>();
    order->id.bytes[0] = 1;
    order->what = SessionOrder::What::move;
    auto answer = order->answer.get_future();
    running.shard.send(std::move(order));
    return answer.get();
  };
  CHECK(std::string(ask().why_not).find("is being moved") != std::string::npos);
  running.ends.backend.send(close_from(Sender::server, 1001));
  running.next->send(from_backend("here I am"));
  CHECK(running.ends.client.expect().payload == "here I am");
  CHECK(ask().why_not == nullptr);
  CHECK(running.desk.next()->cause == Cause::requested);
}

TEST_CASE("an order for some of the sessions passes over those that are being handed over") {
  HandingOver running;
  running.other_backend.swap(running.backend);  // where the first one is now
  const Ends other = running.open_and_greet();
  running.shard.send(
      std::make_unique<MoveSessions>(MoveSessions::Backends{running.backend}, Cause::rebalance, 1));
  CHECK(running.desk.next()->cause == Cause::rebalance);
}

// Story: a stranded session whose backend died was still counted as stranded while it was held.
TEST_CASE("a session without a leg is not stranded") {
  Rerouting running;
  Ends ends = running.open_and_greet();
  running.move(Cause::draining);
  running.refuse(*running.desk.next(), AttemptResult::nobody);
  CHECK(running.notes.next_reroute()->result == RerouteResult::stayed);
  running.sync();
  CHECK(running.pump_cells.stranded.value() == 1);
  ends.backend.close();
  CHECK(running.desk.next()->cause == Cause::lost);
  running.sync();
  CHECK(running.pump_cells.stranded.value() == 0);
}

TEST_CASE("break_first: from a suspect backend a session goes like with make_first, the new leg first") {
  Rerouting running;
  running.route.move = config::MoveOrder::break_first;
  Ends ends = running.open_and_greet();
  running.move(Cause::unhealthy);
  const auto attempt = running.desk.next();
  CHECK_FALSE(ends.backend.wait(POLLIN, Milliseconds(50)));
  const End next = running.answer(*attempt);
  CHECK(ends.backend.expect().code() == 1001);
}

}  // namespace
}  // namespace holdfast::session::test
