#pragma once
// Time is passed in as an argument wherever a decision depends on it; only loops and coroutines read the
// clock.

#include <chrono>
#include <cstdint>

namespace holdfast {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using Milliseconds = std::chrono::milliseconds;

/// Milliseconds modulo 2^32, of a clock that began at some time before: what a session stores (4 bytes, wraps
/// after 49 days). Compare only through `elapsed_ms`, and nothing that may be older than 24 days.
using Tick = std::uint32_t;

[[nodiscard]] inline Tick to_tick(TimePoint when) noexcept {
  return static_cast<Tick>(std::chrono::duration_cast<Milliseconds>(when.time_since_epoch()).count());
}

/// Time from `then` to `now`, right across a wrap as long as both lie within 24 days.
[[nodiscard]] constexpr std::uint32_t elapsed_ms(Tick then, Tick now) noexcept {
  return static_cast<std::int32_t>(now - then) < 0 ? 0 : now - then;
}

/// What is left at `now` of a span that began at `since`.
[[nodiscard]] constexpr std::uint32_t remaining_ms(Tick since, std::uint32_t span_ms, Tick now) noexcept {
  const std::uint32_t gone = elapsed_ms(since, now);
  return gone >= span_ms ? 0 : span_ms - gone;
}

}  // namespace holdfast
