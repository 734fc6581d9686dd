// Clients that send faster than their route allows: paused (they feel it as backpressure) or closed. Only
// what goes to the backend is limited: it is the one to be protected, and a client that reads slowly is
// limited by itself.
//
// A paused client is not read; what has been read already waits in `stalled`, 4 KiB where messages are
// limited. The session's one timer lets it go on. Whoever else has stopped the client keeps it stopped
// (Stop). Its pings and Close wait in their order, as behind any other backpressure; since it is known that
// it is us who don't read, its silence counts neither against it nor as idleness.

#include <algorithm>

#include "session/session.hpp"

namespace holdfast::session {

// While it closes, close_timeout is limit enough.
Throttle* Session::throttle() noexcept {
  if (phase_ != Phase::open) return nullptr;
  if (throttle_ == nullptr) throttle_ = std::make_unique<Throttle>();
  throttle_->take_limits(route());
  const std::size_t limit = throttle_->wanted_read_limit();
  if (limit != throttle_->read_limit && client_.leg) {
    client_.leg.limit_reads(limit);
    throttle_->read_limit = limit;
  }
  return throttle_.get();
}

Throttle::Pongs Session::kind_of_pongs() const noexcept {
  return client_.pings_unanswered == 0 ? Throttle::Pongs::count : Throttle::Pongs::are_answers;
}

// All before `rest` has been forwarded.
void Session::too_fast(Throttle& limited, std::span<const std::byte> rest,
                       metrics::RateLimit limit) noexcept {
  if (client_.reading != Reading::frames) return;
  const bool closes = limited.mode == config::RateMode::close;
  if (closes)
    return refuse(client,
                  limit == metrics::RateLimit::messages ? Reason::too_many_messages : Reason::too_many_bytes);
  limited.stalled = shard().loop().buffers().get(rest.size());
  limited.stalled->append(rest);
  client_.pause(Stop::rate);
  // Forwarding may have begun its end: nothing of it is limited any more.
  if (phase_ != Phase::open) return lift_throttle();
  ++limited.pauses;
  cells().rate_pauses[static_cast<std::size_t>(limit)].add();
  look_soon();
}

void Session::take_stalled() noexcept {
  const BufferPtr stalled = std::move(throttle_->stalled);
  client_.last_received = shard().loop().now();
  consume_client(stalled->bytes());
}

void Session::look_at_throttle(Tick now, std::uint32_t& wait_ms) noexcept {
  const bool is_off = !route().has_rates.load(std::memory_order_relaxed);
  if (is_off && throttle_->read_limit != Throttle::any_read && client_.leg) {
    throttle_->read_limit = Throttle::any_read;
    client_.leg.limit_reads(Throttle::any_read);
  }
  if (!client_.paused_for(Stop::rate)) return;
  // It is us who don't read.
  last_data_ = client_.last_received = now;
  std::uint32_t left = 0;
  if (Throttle* const limited = is_off ? nullptr : throttle(); limited != nullptr) {
    left = limited->wait_ms(now);
  }
  if (left == 0) return lift_throttle();
  wait_ms = std::min(wait_ms, left);
}

// Read on in the next turn: this may be within somebody else's bytes.
void Session::lift_throttle() noexcept {
  if (!client_.paused_for(Stop::rate)) return;
  client_.resume(Stop::rate);
  if (client_.leg) shard().loop().requeue(*this, client);
}

// A message may be endless without ever being large. Its first frame is counted with the second.
bool Session::may_continue_message(const ws::FrameHeader& header) noexcept {
  const std::uint32_t most = route().max_fragments.load(std::memory_order_relaxed);
  if (most == 0) {
    if (throttle_ != nullptr) throttle_->continuations = 0;
    return true;
  }
  if (throttle_ == nullptr) throttle_ = std::make_unique<Throttle>();
  const std::uint32_t before = throttle_->continuations;
  throttle_->continuations = header.fin ? 0 : before + 1;
  return before + 1 < most;
}

}  // namespace holdfast::session
