#include "holdfast/upstream/state.hpp"

#include <algorithm>
#include <cmath>

namespace holdfast::upstream {

namespace {

// A wait that `take` told must be enough, whatever the rounding of fractions does.
constexpr double almost_one = 1 - 1e-9;

constexpr double most_retries = 100;
// Where reroutes have no pace of their own, retries of a sick upstream have this.
constexpr std::uint32_t usual_slow_pace = 500;

// Threads come with clocks that they read a moment ago, so time may seem to go back.
double seconds_since(TimePoint then, TimePoint now) noexcept {
  return now <= then ? 0 : std::chrono::duration<double>(now - then).count();
}

}  // namespace

TokenBucket::TokenBucket(std::uint32_t per_second) noexcept : rate_(per_second), tokens_(per_second) {}

void TokenBucket::set_rate(std::uint32_t per_second) noexcept {
  const std::lock_guard lock(mutex_);
  // Without a limit nobody counted: as full as a new one.
  tokens_ = rate_ == 0 ? per_second : std::min<double>(tokens_, per_second);
  rate_ = per_second;
}

Milliseconds TokenBucket::take(TimePoint now) noexcept {
  const std::lock_guard lock(mutex_);
  if (rate_ == 0) return Milliseconds(0);
  tokens_ = std::min(rate_, tokens_ + rate_ * seconds_since(filled_at_, now));
  filled_at_ = std::max(filled_at_, now);
  if (tokens_ >= almost_one) {
    tokens_ = std::max(0.0, tokens_ - 1);
    return Milliseconds(0);
  }
  const double wait_ms = std::ceil((almost_one - tokens_) / rate_ * 1000);
  return Milliseconds(std::max<std::int64_t>(1, static_cast<std::int64_t>(wait_ms)));
}

void RetryBudget::refill(TimePoint now) noexcept {
  // The first look only starts the clock: the ten that it began with are all there is.
  if (filled_at_ != TimePoint{}) tokens_ += rules_.per_second * seconds_since(filled_at_, now);
  tokens_ = std::min(tokens_, most_retries);
  filled_at_ = std::max(filled_at_, now);
}

void RetryBudget::set_rules(Rules rules) noexcept {
  const std::lock_guard lock(mutex_);
  rules_ = rules;
  if (rules.per_second == 0 && rules.percent_of_first_tries == 0) tokens_ = std::min(tokens_, 0.0);
}

void RetryBudget::first_try(TimePoint now) noexcept {
  const std::lock_guard lock(mutex_);
  refill(now);
  tokens_ = std::min(tokens_ + rules_.percent_of_first_tries / 100.0, most_retries);
}

bool RetryBudget::may_retry(TimePoint now) noexcept {
  const std::lock_guard lock(mutex_);
  refill(now);
  if (tokens_ < almost_one) return false;
  tokens_ -= 1;
  return true;
}

void RetryBudget::reroute_failed(TimePoint now) noexcept {
  const std::lock_guard lock(mutex_);
  refill(now);
  tokens_ = std::max(tokens_ - 1, -most_retries);
}

bool RetryBudget::is_exhausted(TimePoint now) noexcept {
  const std::lock_guard lock(mutex_);
  refill(now);
  return tokens_ - 1 < -most_retries;
}

void UpstreamState::set_reroute_rate(std::uint32_t per_second) noexcept {
  reroute_pace_.set_rate(per_second);
  slow_pace_.set_rate(per_second == 0 ? usual_slow_pace : std::max(per_second / 10, 1U));
}

}  // namespace holdfast::upstream
