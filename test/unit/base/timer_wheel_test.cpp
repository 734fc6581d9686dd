#include "holdfast/base/timer_wheel.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <vector>

using namespace holdfast;

namespace {
struct Probe final : Timer {
  std::vector<Tick> fired;
  std::function<void(Tick)> also;
  void on_timer(Tick now) override {
    fired.push_back(now);
    if (also) also(now);
  }
};
void run(TimerWheel& wheel, Tick from, Tick to, Tick step) {
  for (Tick now = from; static_cast<std::int32_t>(to - now) >= 0; now += step) wheel.advance(now);
}
}  // namespace

TEST_CASE("a timer fires once, never early and at most two slots late, wherever the clock stands") {
  for (const Tick start : {Tick{0}, Tick{1'000'003}, Tick{0xffff'ff00}}) {
    for (const Tick wait :
         {Tick{0}, Tick{1}, Tick{16}, Tick{1000}, Tick{65'535}, Tick{65'536}, Tick{200'001}}) {
      CAPTURE(start);
      CAPTURE(wait);
      TimerWheel wheel(start);
      Probe timer;
      wheel.arm(timer, start + wait);
      run(wheel, start, start + wait + 100, 5);
      REQUIRE(timer.fired.size() == 1);
      const auto late = static_cast<std::int32_t>(timer.fired[0] - (start + wait));
      CHECK(late >= 0);
      CHECK(late <= 2 * static_cast<std::int32_t>(TimerWheel::slot_ms));
    }
  }
}

TEST_CASE("a cancelled, re-armed or destroyed timer does not fire at its old deadline") {
  TimerWheel wheel(0);
  Probe cancelled;
  Probe moved;
  wheel.arm(cancelled, 50);
  wheel.arm(moved, 50);
  {
    Probe dead;
    wheel.arm(dead, 50);
  }
  cancelled.cancel();
  wheel.arm(moved, 500);
  run(wheel, 0, 200, 10);
  CHECK(cancelled.fired.empty());
  CHECK(moved.fired.empty());
  run(wheel, 200, 600, 10);
  CHECK(moved.fired.size() == 1);
}

TEST_CASE("a callback may cancel a timer of the same slot and arm its own again") {
  TimerWheel wheel(0);
  Probe first;
  Probe second;
  first.also = [&](Tick now) {
    second.cancel();
    if (first.fired.size() < 3) wheel.arm(first, now + 100);
  };
  wheel.arm(first, 20);
  wheel.arm(second, 20);
  run(wheel, 0, 1000, 10);
  CHECK(first.fired.size() == 3);
  CHECK(second.fired.empty());
}

TEST_CASE("a long pause of the loop fires everything that came due meanwhile") {
  TimerWheel wheel(0);
  std::vector<Probe> timers(100);
  for (Tick n = 0; n < 100; ++n) wheel.arm(timers[n], n * 3000);
  wheel.advance(10'000'000);
  for (const Probe& timer : timers) CHECK(timer.fired.size() == 1);
}

TEST_CASE("the loop sleeps until the slot of the next timer has passed, and no longer than its limit") {
  TimerWheel wheel(0);
  CHECK(wheel.sleep_ms(0, 1000) == 1000);
  Probe timer;
  wheel.arm(timer, 100);
  CHECK(wheel.sleep_ms(0, 1000) == 112);
  CHECK(wheel.sleep_ms(60, 1000) == 52);
  CHECK(wheel.sleep_ms(0, 20) == 20);
}
