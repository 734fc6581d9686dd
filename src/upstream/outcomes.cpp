#include "holdfast/upstream/outcomes.hpp"

#include <algorithm>

namespace holdfast::upstream {

void Outcomes::advance(TimePoint now, Milliseconds window) noexcept {
  const Milliseconds share = std::max(window / static_cast<int>(bucket_count), Milliseconds(1));
  const std::int64_t number = now.time_since_epoch() / share;
  if (window != window_) {
    clear();
    window_ = window;
    latest_ = number;
    return;
  }
  const std::int64_t fresh = std::min<std::int64_t>(number - latest_, bucket_count);
  for (std::int64_t n = 0; n < fresh; ++n) buckets_[static_cast<std::size_t>(number - n) % bucket_count] = {};
  latest_ = std::max(latest_, number);
}

void Outcomes::note(TimePoint now, Milliseconds window, std::uint64_t good, std::uint64_t bad) noexcept {
  advance(now, window);
  Sum& bucket = buckets_[static_cast<std::size_t>(latest_) % bucket_count];
  bucket.good += good;
  bucket.bad += bad;
}

Outcomes::Sum Outcomes::sum(TimePoint now, Milliseconds window) noexcept {
  advance(now, window);
  Sum total;
  for (const Sum& bucket : buckets_) {
    total.good += bucket.good;
    total.bad += bucket.bad;
  }
  return total;
}

}  // namespace holdfast::upstream
