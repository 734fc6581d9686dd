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

namespace {

// The timers tick in 16 ms: less than a twentieth of a second's worth at once could not keep up the rate.
constexpr std::uint64_t bursts_per_second = 20;
constexpr std::size_t small_read = 4096 - sizeof(Buffer);
constexpr std::size_t any_read = net::CipherScratch::capacity;

Rate rate_of(const std::atomic<std::uint64_t>& per_second, const std::atomic<std::uint64_t>& burst) noexcept {
  Rate rate{per_second.load(std::memory_order_relaxed), burst.load(std::memory_order_relaxed)};
  rate.burst = std::max(rate.most_at_once(), rate.per_second / bursts_per_second);
  return rate;
}

// Small ones, so that little has to be kept for a client that is paused.
std::size_t read_limit(const Throttle& throttle) noexcept {
  if (throttle.most_messages.is_limit()) return small_read;
  const std::uint64_t burst = throttle.most_bytes.per_second / bursts_per_second;
  return static_cast<std::size_t>(std::clamp<std::uint64_t>(burst, small_read, any_read));
}

}  // namespace

// While it closes, close_timeout is limit enough.
Throttle* Session::throttle() noexcept {
  if (phase_ != Phase::open) return nullptr;
  if (throttle_ == nullptr) throttle_ = std::make_unique<Throttle>();
  throttle_->most_messages = rate_of(route_.max_messages_per_second, route_.message_burst);
  throttle_->most_bytes = rate_of(route_.max_bytes_per_second, route_.byte_burst);
  throttle_->mode = route_.rate_mode.load(std::memory_order_relaxed);
  const std::size_t limit = read_limit(*throttle_);
  if (limit != throttle_->read_limit && client_.leg != nullptr) {
    client_.leg->limit_reads(limit);
    throttle_->read_limit = limit;
  }
  return throttle_.get();
}

// Whole messages by their first frame, pings and pongs. Not: the end, and the answers that we asked for.
bool Session::counts_as_message(std::uint8_t opcode) const noexcept {
  switch (static_cast<ws::Opcode>(opcode)) {
    case ws::Opcode::continuation:
    case ws::Opcode::close:
      return false;
    case ws::Opcode::pong:
      return client_.pings_unanswered == 0;
    default:
      return true;
  }
}

// Before the walker sees it: what may not be taken yet must come to it again.
std::optional<metrics::RateLimit> Session::excess_of(Throttle& limited,
                                                     std::span<const std::byte> next) noexcept {
  const Tick now = shard_.loop().now();
  const bool at_frame = client_.walker.at_frame_boundary();
  const auto opcode = static_cast<std::uint8_t>(std::to_integer<unsigned>(next[0]) & 0xfU);
  if (at_frame && static_cast<ws::Opcode>(opcode) == ws::Opcode::close) return std::nullopt;
  // Who is to be closed may end the frame before: a Close can't stand inside one.
  const bool judges_bytes = at_frame || limited.mode == config::RateMode::pause;
  if (judges_bytes && !limited.bytes.has_room(limited.most_bytes, now)) return metrics::RateLimit::bytes;
  if (at_frame && counts_as_message(opcode) && !limited.messages.has_room(limited.most_messages, now))
    return metrics::RateLimit::messages;
  return std::nullopt;
}

void Session::charge(Throttle& limited, const ws::Step& step) noexcept {
  if (limited.most_bytes.is_limit()) limited.bytes.add(step.size);
  if (!limited.most_messages.is_limit() || !step.starts_frame) return;
  if (counts_as_message(static_cast<std::uint8_t>(step.header.opcode))) limited.messages.add(1);
}

// All before `rest` has been forwarded.
void Session::too_fast(Throttle& limited, std::span<const std::byte> rest,
                       metrics::RateLimit limit) noexcept {
  if (client_.reading != Reading::frames) return;
  const bool closes = limited.mode == config::RateMode::close;
  if (closes)
    return refuse(client,
                  limit == metrics::RateLimit::messages ? Reason::too_many_messages : Reason::too_many_bytes);
  limited.stalled = shard_.loop().buffers().get(rest.size());
  limited.stalled->append(rest);
  client_.pause(Stop::rate);
  // Forwarding may have begun its end: nothing of it is limited any more.
  if (phase_ != Phase::open) return lift_throttle();
  ++limited.pauses;
  cells_.rate_pauses[static_cast<std::size_t>(limit)].add();
  look_soon();
}

void Session::take_stalled() noexcept {
  const BufferPtr stalled = std::move(throttle_->stalled);
  client_.last_received = shard_.loop().now();
  consume_client(stalled->bytes());
}

void Session::look_at_throttle(Tick now, std::uint32_t& wait_ms) noexcept {
  const bool is_off = !route_.has_rates.load(std::memory_order_relaxed);
  if (is_off && throttle_->read_limit != any_read && client_.leg != nullptr) {
    throttle_->read_limit = any_read;
    client_.leg->limit_reads(any_read);
  }
  if (!client_.paused_for(Stop::rate)) return;
  // It is us who don't read.
  last_data_ = client_.last_received = now;
  std::uint32_t left = 0;
  if (const Throttle* const limited = is_off ? nullptr : throttle(); limited != nullptr) {
    left = std::max(throttle_->messages.wait_ms(limited->most_messages, now),
                    throttle_->bytes.wait_ms(limited->most_bytes, now));
  }
  if (left == 0) return lift_throttle();
  wait_ms = std::min(wait_ms, left);
}

// Read on in the next turn: this may be within somebody else's bytes.
void Session::lift_throttle() noexcept {
  if (!client_.paused_for(Stop::rate)) return;
  client_.resume(Stop::rate);
  if (client_.leg != nullptr) shard_.loop().requeue(*this, client);
}

// A message may be endless without ever being large. Its first frame is counted with the second.
bool Session::may_continue_message(const ws::FrameHeader& header) noexcept {
  const std::uint32_t most = route_.max_fragments.load(std::memory_order_relaxed);
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
