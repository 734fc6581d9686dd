#pragma once
// At most so many in any span of a length: what a source allows, as it counts itself. Sans-io.
//
// Thread: the source thread's.

#include <algorithm>
#include <cstdint>
#include <deque>

#include "holdfast/base/clock.hpp"

namespace holdfast::feed {

class Allowance {
 public:
  /// `most` 0: no limit.
  Allowance(std::uint32_t most, Clock::duration span) : most_(most), span_(span) {}

  /// When the next one may be; `now` or earlier: at once.
  [[nodiscard]] TimePoint free_at(TimePoint now) {
    while (!taken_.empty() && now - taken_.front() >= span_) taken_.pop_front();
    if (most_ == 0 || taken_.size() < most_) return now;
    return taken_[taken_.size() - most_] + span_;
  }
  void take(TimePoint now) {
    if (most_ != 0) taken_.push_back(now);
  }
  void set(std::uint32_t most) noexcept { most_ = most; }

 private:
  std::uint32_t most_;
  Clock::duration span_;
  std::deque<TimePoint> taken_;  ///< in the span before now
};

}  // namespace holdfast::feed
