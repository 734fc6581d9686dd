#include "holdfast/upstream/outcomes.hpp"

#include <doctest/doctest.h>

#include <random>
#include <vector>

namespace holdfast::upstream {
namespace {

using std::chrono::seconds;

TEST_CASE("outcomes count for nine tenths of the window at least and for the whole at most") {
  struct Noted {
    TimePoint when;
    std::uint64_t good;
    std::uint64_t bad;
  };
  for (std::uint32_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    const Milliseconds window(std::uniform_int_distribution<int>(10, 60'000)(random));
    Outcomes outcomes;
    std::vector<Noted> all;
    TimePoint now = TimePoint{} + seconds(1000);
    for (int step = 0; step < 300; ++step) {
      // Mostly a little later, sometimes much, now and then a clock that was read a moment ago.
      const auto kind = random() % 20;
      if (kind == 0) now += window * 2;
      if (kind > 3) now += Milliseconds(random() % (static_cast<unsigned>(window.count()) / 5 + 1));
      const TimePoint then = kind == 3 ? now - Milliseconds(1) : now;
      const Noted one{now, random() % 3, random() % 3};
      outcomes.note(then, window, one.good, one.bad);
      all.push_back(one);
      std::uint64_t least = 0;
      std::uint64_t most = 0;
      for (const Noted& each : all) {
        if (now - each.when < window * 9 / 10 - Milliseconds(10)) least += each.good + each.bad;
        if (now - each.when <= window + Milliseconds(10)) most += each.good + each.bad;
      }
      const Outcomes::Sum sum = outcomes.sum(now, window);
      REQUIRE(sum.all() >= least);
      REQUIRE(sum.all() <= most);
    }
  }
}

TEST_CASE("the share of successes is a percentage rounded down, and full of nothing") {
  CHECK(Outcomes::Sum{0, 0}.success_percent() == 100);
  CHECK(Outcomes::Sum{1, 0}.success_percent() == 100);
  CHECK(Outcomes::Sum{0, 1}.success_percent() == 0);
  CHECK(Outcomes::Sum{2, 1}.success_percent() == 66);
  CHECK(Outcomes::Sum{999, 1}.success_percent() == 99);
}

TEST_CASE("another window starts afresh") {
  Outcomes outcomes;
  const TimePoint now = TimePoint{} + seconds(100);
  outcomes.note(now, seconds(30), 5, 5);
  CHECK(outcomes.sum(now, seconds(30)).all() == 10);
  CHECK(outcomes.sum(now, seconds(10)).all() == 0);
}

}  // namespace
}  // namespace holdfast::upstream
