#include "holdfast/base/timer_wheel.hpp"

#include <algorithm>

namespace holdfast {

TimerWheel::TimerWheel(Tick now) : current_(now / slot_ms * slot_ms) {
  for (Head& head : heads_) head.prev_ = head.next_ = &head;
}

TimerWheel::~TimerWheel() {
  for (Head& head : heads_) {
    while (head.next_ != &head) head.next_->unlink();
    head.prev_ = head.next_ = nullptr;  // so that ~Timer has nothing to unlink
  }
}

void TimerWheel::arm(Timer& timer, Tick deadline) noexcept {
  timer.unlink();
  timer.deadline_ = deadline;
  // A deadline in the past goes to the slot that is looked at next.
  const Tick due = elapsed_ms(current_, deadline) == 0 ? current_ : deadline;
  Head& head = heads_[(due / slot_ms) % slots];
  timer.prev_ = head.prev_;
  timer.next_ = &head;
  head.prev_->next_ = &timer;
  head.prev_ = &timer;
}

void TimerWheel::advance(Tick now) {
  // Only slots that have passed whole are looked at, so that a slot's timers are visited once a round and not
  // at every turn of the loop.
  const Tick slot_now = now / slot_ms * slot_ms;
  const std::uint32_t passed = std::min<std::uint32_t>(elapsed_ms(current_, slot_now) / slot_ms, slots);
  current_ = slot_now;
  for (std::uint32_t n = passed; n > 0; --n) fire_slot(((slot_now - n * slot_ms) / slot_ms) % slots, now);
}

void TimerWheel::fire_slot(std::size_t slot, Tick now) {
  Head& head = heads_[slot];
  if (head.next_ == &head) return;
  // Move the slot's chain aside: callbacks may arm into this very slot, and may cancel any timer, also of the
  // chain.
  Head chain;
  chain.next_ = head.next_;
  chain.prev_ = head.prev_;
  chain.next_->prev_ = chain.prev_->next_ = &chain;
  head.prev_ = head.next_ = &head;
  while (chain.next_ != &chain) {
    Timer& timer = *chain.next_;
    timer.unlink();
    if (static_cast<std::int32_t>(timer.deadline_ - now) <= 0) {
      timer.on_timer(now);
    } else {
      arm(timer, timer.deadline_);
    }
  }
  chain.prev_ = chain.next_ = nullptr;
}

std::uint32_t TimerWheel::sleep_ms(Tick now, std::uint32_t limit_ms) const noexcept {
  const std::uint32_t looked = std::min<std::uint32_t>(limit_ms / slot_ms + 1, slots);
  for (std::uint32_t n = 0; n < looked; ++n) {
    const Tick slot_time = current_ + n * slot_ms;
    const Head& head = heads_[(slot_time / slot_ms) % slots];
    if (head.next_ == &head) continue;
    // Wake when the slot has passed whole: everything in it is due then, or belongs to a later round.
    return std::min(elapsed_ms(now, slot_time + slot_ms), limit_ms);
  }
  return limit_ms;
}

}  // namespace holdfast
