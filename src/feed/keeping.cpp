// What a subscriber does when time passes. One lazy timer; nothing here runs per message.

#include <algorithm>

#include "feed/subscriber.hpp"

namespace holdfast::feed {

namespace {
constexpr std::uint32_t longest_look_ms = 5'000;
}

void Subscriber::on_timer(Tick now) {
  if (phase_ == Phase::open) return look(now);
  settle();
}

void Subscriber::look(Tick now) noexcept {
  std::uint32_t wait = longest_look_ms;
  if (const Reason why = overdue(now, wait); why != Reason::none) return end(why);
  look_at_throttle(now, wait);
  look_at_ping(now, wait);
  if (phase_ != Phase::open) return;
  look_at_lag(now, wait);
  if (phase_ == Phase::open) loop().timers().arm(*this, now + std::max<std::uint32_t>(wait, 1));
}

Reason Subscriber::overdue(Tick now, std::uint32_t& wait_ms) noexcept {
  if (planned_ != Reason::none) {
    if (static_cast<std::int32_t>(end_at_ - now) <= 0) return planned_;
    wait_ms = std::min(wait_ms, elapsed_ms(now, end_at_));
  }
  const bool has_end = route_.at_expiry.load(std::memory_order_relaxed) != config::Jwt::stay;
  if (token_lasts_100ms_ != 0 && has_end) {
    const std::uint64_t end = std::uint64_t{token_lasts_100ms_} * 100;
    const std::uint64_t age = age_ms(now);
    if (age >= end) return Reason::token_expired;
    wait_ms = static_cast<std::uint32_t>(std::min<std::uint64_t>(wait_ms, end - age));
  }
  if (const std::uint32_t most = route_.max_age_ms.load(std::memory_order_relaxed); most != 0) {
    if (age_ms(now) >= most) return Reason::max_age;
    wait_ms = std::min(wait_ms, most - age_ms(now));
  }
  return Reason::none;
}

void Subscriber::look_at_ping(Tick now, std::uint32_t& wait_ms) noexcept {
  const std::uint32_t interval = route_.ping_interval_ms.load(std::memory_order_relaxed);
  const std::uint32_t timeout = route_.ping_timeout_ms.load(std::memory_order_relaxed);
  if (interval == 0) return;
  if (ping_open_) {
    const bool heard = static_cast<std::int32_t>(last_received_ - ping_at_) >= 0;
    const std::uint32_t left = remaining_ms(ping_at_, timeout, now);
    if (!heard && left > 0) {
      wait_ms = std::min(wait_ms, left);
      return;
    }
    if (!heard) return input_ended();
    ping_open_ = false;
  }
  const std::uint32_t due = interval + (audience_.number_of(*this) * 2654435761U) % (interval / 10 + 1);
  if (const std::uint32_t left = remaining_ms(last_received_, due, now); left > 0) {
    wait_ms = std::min(wait_ms, left);
    return;
  }
  ping_open_ = true;
  ping_at_ = now;
  say(ws::encode_ping({}, std::nullopt).view());
  wait_ms = std::min(wait_ms, timeout);
}

}  // namespace holdfast::feed
