#include "holdfast/base/meter.hpp"

#include <doctest/doctest.h>

#include <random>

namespace holdfast::test {
namespace {

// How many of `tries` at each millisecond of a span are let through.
std::uint64_t passed(Meter& meter, const Rate& rate, Tick from, std::uint32_t span_ms, int tries) {
  std::uint64_t count = 0;
  for (std::uint32_t n = 0; n < span_ms; ++n) {
    for (int each = 0; each < tries; ++each) count += meter.take(rate, from + n) ? 1 : 0;
  }
  return count;
}

TEST_CASE("a burst is let through at once, then the rate") {
  Meter meter;
  const Rate rate{10, 3};
  CHECK(passed(meter, rate, 1'000, 1, 50) == 3);
  CHECK(meter.wait_ms(rate, 1'000) == 100);
  CHECK_FALSE(meter.take(rate, 1'099));
  CHECK(meter.take(rate, 1'100));
  CHECK(passed(meter, rate, 1'101, 10'000, 2) == 100);
}

TEST_CASE("without a burst of its own a rate allows one second's worth at once") {
  Meter meter;
  CHECK(passed(meter, Rate{25, 0}, 77, 1, 100) == 25);
}

TEST_CASE("over any span no more passes than the burst and the rate") {
  std::mt19937 engine(4711);
  const auto random = [&] { return static_cast<std::uint32_t>(engine()); };
  for (int run = 0; run < 200; ++run) {
    const Rate rate{1 + random() % 2'000, 1 + random() % 50};
    const std::uint32_t span = 1 + random() % 3'000;
    Meter meter;
    const std::uint64_t count = passed(meter, rate, random(), span, 4);
    CHECK(count <= rate.burst + rate.per_second * span / 1'000);
    // With room for two, nothing is lost to the millisecond up to a thousand a second.
    const std::uint64_t least = std::min<std::uint64_t>(rate.per_second, 1'000) * span / 1'000;
    if (rate.burst > 1) CHECK(count + 1 >= least);
  }
}

TEST_CASE("what was too much at once is paid off later, and the wait that is told is right") {
  Meter meter;
  const Rate rate{1'000, 100};
  CHECK(meter.has_room(rate, 0));
  meter.add(5'000);
  const std::uint32_t wait = meter.wait_ms(rate, 0);
  CHECK(wait == 4'901);
  CHECK_FALSE(meter.has_room(rate, wait - 1));
  CHECK(meter.has_room(rate, wait));
}

TEST_CASE("a changed rate counts for what has been let through already") {
  Meter meter;
  meter.add(100);
  CHECK(meter.wait_ms(Rate{1, 1}, 0) == 100'000);
  CHECK(meter.wait_ms(Rate{100, 1}, 0) == 1'000);
  CHECK(meter.wait_ms(Rate{}, 0) == 0);
}

TEST_CASE("the largest rates and amounts don't overflow, and ticks may wrap or seem to go back") {
  Meter meter;
  const Rate huge{std::uint64_t{1} << 40U, 1};
  meter.add(UINT64_MAX);
  CHECK(meter.wait_ms(huge, 0) <= 1'000);
  CHECK(meter.wait_ms(huge, 1U << 30U) == 0);
  Meter wraps;
  const Rate slow{1, 1};
  CHECK(wraps.take(slow, UINT32_MAX - 100));
  CHECK_FALSE(wraps.take(slow, UINT32_MAX - 500));
  CHECK_FALSE(wraps.take(slow, 100));
  CHECK(wraps.take(slow, 899));
  CHECK(wraps.take(slow, 899 + (UINT32_MAX / 4 * 3)));  // a silence of 37 days
}

TEST_CASE("a meter is as new once all has leaked") {
  Meter meter;
  const Rate rate{10, 10};
  CHECK(meter.is_empty(rate, 0));
  CHECK(meter.take(rate, 0));
  CHECK_FALSE(meter.is_empty(rate, 50));
  CHECK(meter.is_empty(rate, 101));
}

}  // namespace
}  // namespace holdfast::test
