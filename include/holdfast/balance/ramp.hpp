// Slow start: a backend that is new or back is eased in.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace holdfast::balance {

inline constexpr std::int64_t ramp_begin = 10;  // percent

// Percent of the weight that counts `since` after the backend came: from 10 to 100, linear over
// `slow_start`. No slow_start = 100.
[[nodiscard]] constexpr std::uint8_t ramp_percent(std::chrono::nanoseconds since,
                                                  std::chrono::milliseconds slow_start) noexcept {
  if (since >= slow_start) return 100;
  if (since.count() <= 0) return ramp_begin;
  // In whole milliseconds: an hour of them times ninety fits.
  const std::int64_t passed = std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
  return static_cast<std::uint8_t>(ramp_begin + (100 - ramp_begin) * passed / slow_start.count());
}

}  // namespace holdfast::balance
