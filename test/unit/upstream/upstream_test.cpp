#include "holdfast/upstream/upstream.hpp"

#include <doctest/doctest.h>

#include <string>
#include <thread>

namespace holdfast::upstream {
namespace {

std::vector<std::shared_ptr<Backend>> backends(std::size_t count) {
  std::vector<std::shared_ptr<Backend>> made;
  for (std::size_t i = 0; i < count; ++i) made.push_back(std::make_shared<Backend>("u", std::to_string(i)));
  return made;
}

Upstream upstream(std::vector<std::shared_ptr<Backend>> members,
                  balance::Policy policy = balance::Policy::least_connections) {
  return {"u", policy, OutlierRules{}, std::move(members), 42};
}

TEST_CASE("sessions being set up count at once, so a burst spreads evenly") {
  const auto members = backends(3);
  const Upstream one = upstream(members);
  std::vector<Seat> seats;
  for (int i = 0; i < 30; ++i) seats.push_back(*one.pick());
  for (const auto& member : members) CHECK(member->sessions() == 10);
}

TEST_CASE("bursts of several threads spread evenly, too") {
  const auto members = backends(4);
  const Upstream one = upstream(members);
  std::vector<std::vector<Seat>> seats(4);
  {
    std::vector<std::jthread> threads;
    for (auto& mine : seats) {
      threads.emplace_back([&one, &mine] {
        for (int i = 0; i < 500; ++i) mine.push_back(*one.pick());
      });
    }
  }
  for (const auto& member : members) CHECK(member->sessions() == 500);
  seats.clear();
  for (const auto& member : members) CHECK(member->sessions() == 0);
}

TEST_CASE("two snapshots that pick at once never exceed max_sessions") {
  const auto members = backends(2);
  for (const auto& member : members) member->set_max_sessions(50);
  const Upstream before = upstream(members);
  const Upstream after = upstream(members);
  std::vector<Seat> first;
  std::vector<Seat> second;
  const auto fill = [](const Upstream& from, std::vector<Seat>& seats) {
    for (int i = 0; i < 100; ++i) {
      if (auto seat = from.pick()) seats.push_back(*std::move(seat));
    }
  };
  {
    const std::jthread one([&] { fill(before, first); });
    const std::jthread two([&] { fill(after, second); });
  }
  CHECK(first.size() + second.size() == 100);
  for (const auto& member : members) CHECK(member->sessions() == 50);
}

TEST_CASE("excluded, ineligible and weightless backends are not picked") {
  const auto members = backends(4);
  members[0]->set_health(Health::unhealthy);
  members[1]->set_admin_state(AdminState::draining);
  members[2]->set_weight(0);
  const Upstream one = upstream(members);
  for (int i = 0; i < 10; ++i) CHECK(&one.pick()->backend() == members[3].get());
  const Backend* const tried[] = {members[3].get()};
  CHECK_FALSE(one.pick(tried).has_value());
  CHECK(one.has_eligible());
  members[3]->set_admin_state(AdminState::disabled);
  CHECK_FALSE(one.has_eligible());
  CHECK_FALSE(one.pick().has_value());
}

TEST_CASE("an upstream without backends picks nothing") {
  CHECK_FALSE(upstream({}).pick().has_value());
  CHECK_FALSE(upstream({}).has_eligible());
}

TEST_CASE("round robin goes on where it was from pick to pick") {
  const auto members = backends(3);
  const Upstream one = upstream(members, balance::Policy::round_robin);
  std::string order;
  for (int i = 0; i < 6; ++i) order += one.pick()->backend().address();
  CHECK(order == "012012");
}

// Story: in other proxies all reconnecting clients hung on the one backend that accepted and never
// answered, because it always had the fewest sessions.
TEST_CASE("a mute backend does not become the black hole of least connections") {
  const auto members = backends(3);
  const Upstream one = upstream(members);
  std::vector<Seat> seats;
  int deadlines = 0;
  TimePoint now{};
  for (int client = 0; client < 200; ++client) {
    now += std::chrono::seconds(1);
    one.outlier().probed(*members[0], ProbeVerdict::passed);
    one.outlier().tick(now);
    Seat seat = *one.pick();
    if (&seat.backend() == members[0].get()) {
      ++deadlines;
      one.failed(seat.backend(), FailureKind::timeout, "no answer", now);
      const Backend* const tried[] = {&seat.backend()};
      seat = *one.pick(tried);
    }
    one.succeeded(seat);
    seats.push_back(std::move(seat));
  }
  // Five to be found out, then one per 30 seconds.
  CHECK(deadlines >= 5);
  CHECK(deadlines <= 5 + 200 / 30);
  CHECK(members[0]->sessions() == 0);
  CHECK(members[0]->failures(FailureKind::timeout) == static_cast<std::uint64_t>(deadlines));
  CHECK(members[0]->last_error() == "no answer");
}

// Story: nine thousand sessions lost one backend; all of them at once would have fallen on the next one.
TEST_CASE("a reroute waits for a backend with too many dials under way, where waiting helps") {
  const TimePoint begun = Clock::now();
  const auto members = backends(3);
  const Upstream one = upstream(members);
  std::vector<Upstream::Place> places;
  for (std::uint32_t n = 0; n < 2 * UpstreamState::most_connecting; ++n) {
    const Backend* const lost[] = {members[0].get()};
    places.push_back(one.pick_for_reroute(Wish{lost}, begun));
    REQUIRE(places.back().dialling.has_value());
  }
  CHECK(members[1]->dialling() == UpstreamState::most_connecting);
  CHECK(members[2]->dialling() == UpstreamState::most_connecting);
  CHECK(members[0]->sessions() == 0);

  const Backend* const lost[] = {members[0].get()};
  const auto picks = members[1]->picks() + members[2]->picks();
  const Upstream::Place none = one.pick_for_reroute(Wish{lost}, begun);
  CHECK_FALSE(none.seat.has_value());
  CHECK(none.busy == Upstream::Busy::yes);
  CHECK(members[1]->picks() + members[2]->picks() == picks);
  // Somebody else's sessions still find the third one.
  CHECK(&one.pick_for_reroute({}, begun).seat->backend() == members[0].get());

  members[0]->set_health(Health::unhealthy);
  CHECK(one.pick_for_reroute({}, begun).busy == Upstream::Busy::yes);
  places.clear();
  CHECK(one.pick_for_reroute(Wish{lost}, begun).seat.has_value());
}

// Story: of two backends the one that answered faster got 5,313 of 9,000 sessions.
TEST_CASE("a backend that is slower gets its share; one that answers no dial at all is passed over") {
  const auto members = backends(2);
  const Upstream one = upstream(members);
  const TimePoint begun = Clock::now();
  std::vector<Dialling> dials;
  for (std::uint32_t n = 0; n < UpstreamState::most_connecting; ++n)
    dials.push_back(*try_dialling(members[0], begun));
  const auto seat = Seat::take(members[1]);  // so that the first is the one to pick
  const auto later = begun + std::chrono::milliseconds(200);
  CHECK(one.pick_for_reroute({}, later).busy == Upstream::Busy::yes);
  CHECK_FALSE(one.pick_for_reroute({}, later).seat.has_value());
  const auto too_late = begun + std::chrono::milliseconds(300);
  CHECK(&one.pick_for_reroute({}, too_late).seat->backend() == members[1].get());

  dials.pop_back();  // an answer, just now
  dials.push_back(*try_dialling(members[0], begun));
  CHECK_FALSE(one.pick_for_reroute({}, Clock::now()).seat.has_value());
}

TEST_CASE("waiting for a dial to end helps nobody whose backends are excluded or may not be picked") {
  const TimePoint begun = Clock::now();
  const auto members = backends(2);
  const Upstream one = upstream(members);
  std::vector<Dialling> dials;
  for (std::uint32_t n = 0; n < UpstreamState::most_connecting; ++n)
    dials.push_back(*try_dialling(members[0], Clock::now()));
  const Backend* const both[] = {members[0].get(), members[1].get()};
  CHECK(one.pick_for_reroute(Wish{both}, begun).busy == Upstream::Busy::no);
  const Backend* const second[] = {members[1].get()};
  CHECK(one.pick_for_reroute(Wish{second}, begun).busy == Upstream::Busy::yes);
  members[0]->set_admin_state(AdminState::draining);
  CHECK(one.pick_for_reroute(Wish{second}, begun).busy == Upstream::Busy::no);
}

TEST_CASE("an upstream knows the state of its backends") {
  const auto state = std::make_shared<UpstreamState>("u");
  const Upstream one =
      upstream({std::make_shared<Backend>(state, "1"), std::make_shared<Backend>(state, "2")});
  CHECK(&one.state() == state.get());
  CHECK(upstream({}).state().name() == "u");
}

}  // namespace
}  // namespace holdfast::upstream
