#pragma once
// How fast something comes, against a rate with a burst: a bucket that fills with each unit and leaks at the
// rate. Sans-io and twelve bytes, so that every client address and every session can have some. Not
// thread-safe: its owner guards it.

#include <algorithm>
#include <cstdint>

#include "holdfast/base/clock.hpp"

namespace holdfast {

/// So many units a second, and so many at once after a silence.
struct Rate {
  std::uint64_t per_second = 0;  ///< 0 = no limit
  std::uint64_t burst = 0;       ///< 0 = one second's worth

  [[nodiscard]] bool is_limit() const noexcept { return per_second != 0; }
  [[nodiscard]] std::uint64_t most_at_once() const noexcept { return burst == 0 ? per_second : burst; }
  bool operator==(const Rate&) const = default;
};

class Meter {
 public:
  /// Whether a unit more is within `rate` at `now`. Does not count it.
  [[nodiscard]] bool has_room(const Rate& rate, Tick now) noexcept { return wait_ms(rate, now) == 0; }

  /// How long until a unit more is within `rate`; 0 = it is now.
  [[nodiscard]] std::uint32_t wait_ms(const Rate& rate, Tick now) noexcept {
    if (!rate.is_limit()) return 0;
    leak(rate, now);
    const std::uint64_t most = (std::max<std::uint64_t>(rate.most_at_once(), 1) - 1) * thousand;
    if (level_ <= most) return 0;
    const std::uint64_t wait = (level_ - most - 1) / rate.per_second + 1;
    return static_cast<std::uint32_t>(std::min(wait, longest_ms));
  }

  /// Counts units, whether there was room or not: a large one is paid off later.
  void add(std::uint64_t units) noexcept { level_ += std::min(units, most_units) * thousand; }

  /// Takes one if there is room.
  [[nodiscard]] bool take(const Rate& rate, Tick now) noexcept {
    if (!rate.is_limit()) return true;
    if (!has_room(rate, now)) return false;
    add(1);
    return true;
  }

  /// As new: forgetting it changes nothing.
  [[nodiscard]] bool is_empty(const Rate& rate, Tick now) noexcept {
    if (rate.is_limit()) leak(rate, now);
    return level_ == 0 || !rate.is_limit();
  }

 private:
  static constexpr std::uint64_t thousand = 1000;
  static constexpr std::uint64_t most_units = std::uint64_t{1} << 40U;
  static constexpr std::uint64_t longest_ms = 24ULL * 3600 * 1000;
  static constexpr std::uint32_t back_ms = 60'000;

  // A rate of n a second is n thousandths a millisecond. Ticks of several threads may seem to go back; more
  // than a minute back is a silence of weeks.
  void leak(const Rate& rate, Tick now) noexcept {
    std::uint32_t gone = now - at_;
    if (gone > UINT32_MAX - back_ms) gone = 0;
    if (gone == 0 && level_ != 0) return;
    level_ = gone > level_ / rate.per_second ? 0 : level_ - gone * rate.per_second;
    at_ = now;
  }

  std::uint64_t level_ = 0;  ///< thousandths of a unit
  Tick at_ = 0;              ///< when level_ was right
};

}  // namespace holdfast
