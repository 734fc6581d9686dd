#include "holdfast/upstream/queue.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "holdfast/upstream/upstream.hpp"

namespace holdfast::upstream {
namespace {

struct Sleeper final : Queue::Waiter {
  void wake() noexcept override { ++woken; }
  int woken = 0;
};

TEST_CASE("only the first is woken, and when it leaves the next one is") {
  Queue queue;
  Sleeper one;
  Sleeper two;
  Queue::Place first(queue, one, 10);
  Queue::Place second(queue, two, 10);
  CHECK(queue.size() == 2);
  CHECK(first.is_first());
  CHECK_FALSE(second.is_first());
  queue.wake_first();
  queue.wake_first();
  CHECK(one.woken == 2);
  CHECK(two.woken == 0);
  first.leave();
  CHECK(second.is_first());
  CHECK(two.woken == 1);
  first.leave();  // once is enough
  CHECK(queue.size() == 1);
}

TEST_CASE("who leaves from the middle wakes nobody and changes nobody's turn") {
  Queue queue;
  Sleeper sleepers[3];
  Queue::Place first(queue, sleepers[0], 10);
  std::optional<Queue::Place> middle(std::in_place, queue, sleepers[1], 10);
  const Queue::Place last(queue, sleepers[2], 10);
  middle.reset();
  for (const Sleeper& sleeper : sleepers) CHECK(sleeper.woken == 0);
  first.leave();
  CHECK(last.is_first());
}

TEST_CASE("the queue takes no more than its length, and nobody at all with 0") {
  Queue queue;
  Sleeper sleeper;
  const Queue::Place one(queue, sleeper, 1);
  CHECK(one);
  const Queue::Place two(queue, sleeper, 1);
  CHECK_FALSE(two);
  CHECK_FALSE(two.is_first());
  const Queue::Place none(queue, sleeper, 0);
  CHECK_FALSE(none);
  CHECK(queue.size() == 1);
}

TEST_CASE("every way in which a place may become free wakes the first") {
  const auto state = std::make_shared<UpstreamState>("u");
  const auto backend = std::make_shared<Backend>(state, "1");
  Sleeper sleeper;
  const Queue::Place place(state->queue(), sleeper, 10);
  const auto woken_by = [&](auto deed) {
    const int before = sleeper.woken;
    deed();
    return sleeper.woken > before;
  };
  auto seat = Seat::take(backend);
  CHECK(woken_by([&] { seat.reset(); }));
  CHECK(woken_by([&] { backend->set_health(Health::healthy); }));
  CHECK(woken_by([&] { backend->set_admin_state(AdminState::active); }));
  CHECK(woken_by([&] { backend->set_max_sessions(7); }));
  CHECK(woken_by([&] { backend->set_weight(3); }));
}

// A waiter that looks once too early and is not woken afterwards would sleep until its time-out.
TEST_CASE("a place given back by another thread is never missed") {
  for (int round = 0; round < 300; ++round) {
    const auto state = std::make_shared<UpstreamState>("u");
    const auto backend = std::make_shared<Backend>(state, "1");
    backend->set_max_sessions(1);
    const Upstream upstream("u", balance::Policy::least_connections, {}, {backend}, 1);
    struct Flag final : Queue::Waiter {
      void wake() noexcept override { rung.store(true); }
      std::atomic<bool> rung{false};
    } flag;
    auto held = upstream.pick();
    REQUIRE(held.has_value());
    std::thread pump([&] { held.reset(); });
    const Queue::Place place(state->queue(), flag, 1);
    const auto got = upstream.pick();
    pump.join();
    REQUIRE((got.has_value() || flag.rung.load()));
  }
}

}  // namespace
}  // namespace holdfast::upstream
