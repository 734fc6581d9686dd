// Subscribers that send faster than their route allows: not read for a while, or closed, as sessions are
// (session/throttle.hpp). The one timer lets them go on.

#include <algorithm>

#include "feed/subscriber.hpp"

namespace holdfast::feed {

using session::Throttle;

// While it closes, close_timeout is limit enough.
Throttle* Subscriber::throttle() noexcept {
  if (phase_ != Phase::open || !route_.has_rates.load(std::memory_order_relaxed)) return nullptr;
  has_throttle_ = true;
  Throttle& mine = audience_.throttle(*this);
  mine.take_limits(route_);
  set_read_limit(mine, mine.wanted_read_limit());
  return &mine;
}

void Subscriber::set_read_limit(Throttle& throttle, std::size_t bytes) noexcept {
  if (bytes == throttle.read_limit || leg_ == nullptr) return;
  leg_->limit_reads(bytes);
  throttle.read_limit = bytes;
}

Throttle::Pongs Subscriber::kind_of_pongs() const noexcept {
  return ping_open_ ? Throttle::Pongs::are_answers : Throttle::Pongs::count;
}

void Subscriber::too_fast(Throttle& limited, std::span<const std::byte> rest,
                          metrics::RateLimit limit) noexcept {
  if (limited.mode == config::RateMode::close) {
    end(limit == metrics::RateLimit::messages ? Reason::too_many_messages : Reason::too_many_bytes);
    close_received_ = true;  // nothing that it says from here on is taken
    return finish_if_done();
  }
  limited.stalled = loop().buffers().get(rest.size());
  limited.stalled->append(rest);
  throttled_ = true;
  ++limited.pauses;
  route_.cells(pump_thread()).rate_pauses[static_cast<std::size_t>(limit)].add();
  loop().timers().arm(*this, loop().now() + 1);
}

// False: there is more that may not be taken yet, or it has ended.
bool Subscriber::take_stalled() noexcept {
  if (has_throttle_) {
    const BufferPtr stalled = std::move(audience_.throttle(*this).stalled);
    if (stalled != nullptr) {
      last_received_ = loop().now();
      consume(stalled->bytes());
    }
  }
  return !throttled_ && leg_ != nullptr;
}

void Subscriber::look_at_throttle(Tick now, std::uint32_t& wait_ms) noexcept {
  if (!has_throttle_) return;
  Throttle* const limited = throttle();
  if (limited == nullptr) set_read_limit(audience_.throttle(*this), Throttle::any_read);
  if (!throttled_) return;
  // It is us who don't read.
  last_received_ = now;
  const std::uint32_t left = limited == nullptr ? 0 : limited->wait_ms(now);
  if (left == 0) return lift_throttle();
  wait_ms = std::min(wait_ms, left);
}

// Read on in the next turn: this may be within its own bytes.
void Subscriber::lift_throttle() noexcept {
  if (!throttled_) return;
  throttled_ = false;
  loop().requeue(*this, 0);
}

void Subscriber::forget_throttle() noexcept {
  if (has_throttle_) audience_.forget_throttle(*this);
  has_throttle_ = throttled_ = false;
}

}  // namespace holdfast::feed
