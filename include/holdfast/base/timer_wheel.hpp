#pragma once
// Timers of one pump thread. Purpose: tens of thousands of sessions each with one lazy timer. A session
// stores its last activity and re-arms only when the wheel looks at it, so a message costs no timer work at
// all.
//
// Thread: the owning loop's. Ownership: none; a node must be cancelled (or destroyed, which cancels) before
// it dies.

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>

#include "holdfast/base/clock.hpp"

namespace holdfast {

class TimerWheel;

/// One intrusive timer; 40 bytes. Derive or embed; at most one deadline is armed at a time.
class Timer {
 public:
  Timer() = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  virtual ~Timer() { unlink(); }

  [[nodiscard]] bool armed() const noexcept { return next_ != nullptr; }
  void cancel() noexcept { unlink(); }

 protected:
  /// Called on the loop's thread when the deadline has passed; the timer is no longer armed and may be armed
  /// again.
  virtual void on_timer(Tick now) = 0;

 private:
  friend class TimerWheel;
  void unlink() noexcept;

  Timer* prev_ = nullptr;
  Timer* next_ = nullptr;
  Tick deadline_ = 0;
};

/// Hashed wheel: 4,096 slots of 16 ms (about 65 s a round); later deadlines stay in their slot for more
/// rounds. A timer fires up to one slot late, never early.
class TimerWheel {
 public:
  static constexpr std::uint32_t slot_ms = 16;
  static constexpr std::size_t slots = 4096;

  explicit TimerWheel(Tick now);
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;
  ~TimerWheel();

  /// Arms or moves. A deadline that has passed fires at the next `advance`.
  void arm(Timer& timer, Tick deadline) noexcept;

  /// Fires everything due at `now`, in slot order. Timers armed from within a callback are seen at the next
  /// call.
  void advance(Tick now);

  /// Milliseconds until a slot with timers comes up, at most `limit_ms`: the loop's longest sleep.
  [[nodiscard]] std::uint32_t sleep_ms(Tick now, std::uint32_t limit_ms) const noexcept;

 private:
  struct Head final : Timer {
    void on_timer(Tick) override {}
  };
  void fire_slot(std::size_t slot, Tick now);

  std::array<Head, slots> heads_;
  Tick current_;  ///< the slot time up to which everything was looked at
};

inline void Timer::unlink() noexcept {
  if (next_ == nullptr) return;
  prev_->next_ = next_;
  next_->prev_ = prev_;
  prev_ = next_ = nullptr;
}

}  // namespace holdfast
