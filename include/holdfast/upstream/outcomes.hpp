// How tries of one backend came out over the last while: ten buckets that follow the clock. Sans-io. Not
// thread-safe: its owner guards it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "holdfast/base/clock.hpp"

namespace holdfast::upstream {

class Outcomes {
 public:
  static constexpr std::size_t bucket_count = 10;

  struct Sum {
    std::uint64_t good = 0;
    std::uint64_t bad = 0;

    [[nodiscard]] std::uint64_t all() const noexcept { return good + bad; }
    // In percent, rounded down; 100 when there is nothing.
    [[nodiscard]] std::uint64_t success_percent() const noexcept {
      return all() == 0 ? 100 : good * 100 / all();
    }
  };

  // `window`: how long outcomes count, the same each time (another one starts afresh); at least 10 ms. What
  // lies between nine tenths of it and the whole back may count or not.
  void note(TimePoint now, Milliseconds window, std::uint64_t good, std::uint64_t bad) noexcept;
  [[nodiscard]] Sum sum(TimePoint now, Milliseconds window) noexcept;
  void clear() noexcept { buckets_ = {}; }

 private:
  // Threads come with clocks that they read a moment ago, so time may seem to go back.
  void advance(TimePoint now, Milliseconds window) noexcept;

  std::array<Sum, bucket_count> buckets_{};
  Milliseconds window_{0};
  std::int64_t latest_ = 0;  // number of the bucket that is being filled
};

}  // namespace holdfast::upstream
