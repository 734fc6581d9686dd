#include "holdfast/upstream/circuit.hpp"

#include <doctest/doctest.h>

#include <thread>
#include <vector>

#include "holdfast/upstream/state.hpp"

namespace holdfast::upstream::test {
namespace {

TEST_CASE("sessions and dials are counted with and without limits, and given back") {
  Circuit circuit;
  {
    const auto session = circuit.begin_session();
    const auto dial = circuit.begin_dial();
    const Circuit::Place moved_here = circuit.take_session();
    CHECK(circuit.sessions() == 2);
    CHECK(circuit.pending() == 1);
    circuit.set_limits(2, 1);
    CHECK_FALSE(circuit.begin_session());
    CHECK_FALSE(circuit.begin_dial());
    const Circuit::Place never_refused = circuit.take_session();
    CHECK(circuit.sessions() == 3);
    circuit.set_limits(4, 0);
    CHECK(circuit.begin_session());
    CHECK(circuit.begin_dial());
  }
  CHECK(circuit.sessions() == 0);
  CHECK(circuit.pending() == 0);
  CHECK(circuit.breaks(Circuit::Break::sessions) == 1);
  CHECK(circuit.breaks(Circuit::Break::pending) == 0);  // whoever must wait or be refused tells
}

TEST_CASE("a place moves with its session and is given back once") {
  Circuit circuit;
  Circuit::Place kept;
  {
    auto place = circuit.begin_session();
    kept = std::move(*place);
  }
  CHECK(circuit.sessions() == 1);
  Circuit other;
  kept = other.take_session();
  CHECK(other.sessions() == 1);
  CHECK(circuit.sessions() == 0);
  CHECK(kept.give_up());
  CHECK_FALSE(kept.give_up());
  CHECK(other.sessions() == 1);
  other.end_session();
  CHECK(other.sessions() == 0);
}

TEST_CASE("threads that take at once never exceed a limit") {
  Circuit circuit;
  circuit.set_limits(50, 0);
  std::vector<std::thread> threads;
  std::atomic<int> taken{0};
  std::atomic<int> done{0};
  for (int n = 0; n < 4; ++n) {
    threads.emplace_back([&] {
      std::vector<Circuit::Place> mine;
      for (int each = 0; each < 100; ++each) {
        if (auto place = circuit.begin_session()) mine.push_back(std::move(*place));
      }
      taken += static_cast<int>(mine.size());
      ++done;
      while (done < 4) std::this_thread::yield();
    });
  }
  for (std::thread& each : threads) each.join();
  CHECK(taken == 50);
  CHECK(circuit.sessions() == 0);
}

TimePoint at(int ms) {
  return TimePoint{} + std::chrono::hours(1) + Milliseconds(ms);
}

int retries_at_once(RetryBudget& budget, TimePoint now) {
  int granted = 0;
  while (granted < 1000 && budget.may_retry(now)) ++granted;
  return granted;
}

TEST_CASE("a retry budget earns what it is told to") {
  RetryBudget budget;
  budget.set_rules({50, 2});
  CHECK(retries_at_once(budget, at(0)) == 10);
  for (int n = 0; n < 10; ++n) budget.first_try(at(0));
  CHECK(retries_at_once(budget, at(0)) == 5);
  CHECK(retries_at_once(budget, at(3'000)) == 6);
}

TEST_CASE("a retry budget that earns nothing grants nothing, not even what it began with") {
  RetryBudget budget;
  budget.set_rules({0, 0});
  for (int n = 0; n < 100; ++n) budget.first_try(at(0));
  CHECK(retries_at_once(budget, at(0)) == 0);
  CHECK(retries_at_once(budget, at(60'000)) == 0);
}

TEST_CASE("reroutes that fail slow down once the debt is as deep as it gets, until some of it is paid") {
  RetryBudget budget;
  CHECK_FALSE(budget.is_exhausted(at(0)));
  for (int n = 0; n < 109; ++n) budget.reroute_failed(at(0));
  CHECK_FALSE(budget.is_exhausted(at(0)));
  budget.reroute_failed(at(0));
  CHECK(budget.is_exhausted(at(0)));
  CHECK(budget.is_exhausted(at(99)));
  CHECK_FALSE(budget.is_exhausted(at(200)));
}

}  // namespace
}  // namespace holdfast::upstream::test
