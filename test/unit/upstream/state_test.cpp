#include "holdfast/upstream/state.hpp"

#include <doctest/doctest.h>

namespace holdfast::upstream {
namespace {

// A clock moved by hand, far from the epoch as the real one is.
constexpr TimePoint start{std::chrono::hours(1000)};

constexpr TimePoint at(int ms) {
  return start + Milliseconds(ms);
}

int taken_at_once(TokenBucket& bucket, TimePoint now, int most) {
  int taken = 0;
  while (taken < most && bucket.take(now) == Milliseconds(0)) ++taken;
  return taken;
}

int retries_at_once(RetryBudget& budget, TimePoint now) {
  int granted = 0;
  while (granted < 1000 && budget.may_retry(now)) ++granted;
  return granted;
}

TEST_CASE("a bucket holds one second's worth and no more, however long nobody came") {
  TokenBucket bucket(50);
  CHECK(taken_at_once(bucket, at(0), 1000) == 50);
  CHECK(taken_at_once(bucket, at(100), 1000) == 5);
  CHECK(taken_at_once(bucket, at(3'600'000), 1000) == 50);
}

TEST_CASE("who finds a bucket empty learns how long to wait, and then gets one") {
  for (const std::uint32_t rate : {1U, 3U, 7U, 500U, 999U, 5'000U}) {
    CAPTURE(rate);
    TokenBucket bucket(rate);
    REQUIRE(taken_at_once(bucket, at(0), 10'000) == static_cast<int>(rate));
    TimePoint now = at(0);
    for (int n = 0; n < 100; ++n) {
      const Milliseconds wait = bucket.take(now);
      if (wait == Milliseconds(0)) continue;
      CHECK(wait <= Milliseconds(1'000 / rate + 1));
      now += wait;
      CHECK(bucket.take(now) == Milliseconds(0));
    }
  }
}

TEST_CASE("a bucket's rate over a long time is the one that was set, whatever the moments of asking") {
  TokenBucket bucket(30);
  int taken = 0;
  for (int ms = 0; ms < 10'000; ms += 7) taken += taken_at_once(bucket, at(ms), 1000);
  CHECK(taken >= 30 * 10 + 30 - 1);
  CHECK(taken <= 30 * 10 + 30);
}

TEST_CASE("a rate of 0 is no limit, and a new limit begins with a full bucket") {
  TokenBucket bucket(0);
  CHECK(taken_at_once(bucket, at(0), 10'000) == 10'000);
  bucket.set_rate(4);
  CHECK(taken_at_once(bucket, at(0), 10'000) == 4);
  bucket.set_rate(0);
  CHECK(taken_at_once(bucket, at(0), 10'000) == 10'000);
}

TEST_CASE("a lowered rate takes away what is above it, a raised one gives nothing at once") {
  TokenBucket bucket(100);
  (void)bucket.take(at(0));
  bucket.set_rate(10);
  CHECK(taken_at_once(bucket, at(0), 1000) == 10);
  bucket.set_rate(1'000);
  CHECK(taken_at_once(bucket, at(0), 10'000) == 0);
  CHECK(taken_at_once(bucket, at(20), 10'000) == 20);
}

// Threads read the clock before they take the lock.
TEST_CASE("a clock that seems to go back neither gives nor takes tokens") {
  TokenBucket bucket(10);
  CHECK(taken_at_once(bucket, at(1'000), 1000) == 10);
  CHECK(taken_at_once(bucket, at(500), 1000) == 0);
  CHECK(taken_at_once(bucket, at(1'100), 1000) == 1);
}

TEST_CASE("a retry budget begins with ten and earns ten a second, up to a hundred") {
  RetryBudget budget;
  CHECK(retries_at_once(budget, at(0)) == 10);
  CHECK(retries_at_once(budget, at(500)) == 5);
  CHECK(retries_at_once(budget, at(60'000)) == 100);
}

TEST_CASE("five first tries earn one retry") {
  RetryBudget budget;
  REQUIRE(retries_at_once(budget, at(0)) == 10);
  for (int n = 0; n < 4; ++n) budget.first_try(at(0));
  CHECK_FALSE(budget.may_retry(at(0)));
  budget.first_try(at(0));
  CHECK(budget.may_retry(at(0)));
  for (int n = 0; n < 10'000; ++n) budget.first_try(at(0));
  CHECK(retries_at_once(budget, at(0)) == 100);
}

TEST_CASE("reroutes are never refused and go first: new handshakes wait until the debt is paid") {
  RetryBudget budget;
  for (int n = 0; n < 15; ++n) budget.reroute_failed(at(0));
  CHECK_FALSE(budget.may_retry(at(0)));
  CHECK_FALSE(budget.may_retry(at(500)));
  CHECK(budget.may_retry(at(600)));
  CHECK_FALSE(budget.may_retry(at(600)));
}

TEST_CASE("the debt of a storm of reroutes is bounded, so that retries come back soon") {
  RetryBudget budget;
  for (int n = 0; n < 9'000; ++n) budget.reroute_failed(at(0));
  CHECK_FALSE(budget.may_retry(at(10'000)));
  CHECK(budget.may_retry(at(10'100)));
}

TEST_CASE("reroutes are counted by cause and result") {
  UpstreamState state("chat");
  state.count(Cause::lost, RerouteResult::attached);
  state.count(Cause::lost, RerouteResult::attached);
  state.count(Cause::draining, RerouteResult::stayed);
  CHECK(state.reroutes(Cause::lost, RerouteResult::attached) == 2);
  CHECK(state.reroutes(Cause::draining, RerouteResult::stayed) == 1);
  CHECK(state.reroutes(Cause::lost, RerouteResult::stayed) == 0);
}

}  // namespace
}  // namespace holdfast::upstream
