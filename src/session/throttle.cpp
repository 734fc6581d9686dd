#include "session/throttle.hpp"

#include <algorithm>

namespace holdfast::session {

namespace {

// The timers tick in 16 ms: less than a twentieth of a second's worth at once could not keep up the rate.
constexpr std::uint64_t bursts_per_second = 20;
constexpr std::size_t small_read = 4096 - sizeof(Buffer);

Rate rate_of(const std::atomic<std::uint64_t>& per_second, const std::atomic<std::uint64_t>& burst) noexcept {
  Rate rate{per_second.load(std::memory_order_relaxed), burst.load(std::memory_order_relaxed)};
  rate.burst = std::max(rate.most_at_once(), rate.per_second / bursts_per_second);
  return rate;
}

// Whole messages by their first frame, pings and pongs. Not: the end, and the answers that we asked for.
bool counts_as_message(std::uint8_t opcode, Throttle::Pongs pongs) noexcept {
  switch (static_cast<ws::Opcode>(opcode)) {
    case ws::Opcode::continuation:
    case ws::Opcode::close:
      return false;
    case ws::Opcode::pong:
      return pongs == Throttle::Pongs::count;
    default:
      return true;
  }
}

}  // namespace

void Throttle::take_limits(const RouteState& route) noexcept {
  most_messages = rate_of(route.max_messages_per_second, route.message_burst);
  most_bytes = rate_of(route.max_bytes_per_second, route.byte_burst);
  mode = route.rate_mode.load(std::memory_order_relaxed);
}

std::size_t Throttle::wanted_read_limit() const noexcept {
  if (most_messages.is_limit()) return small_read;
  const std::uint64_t burst = most_bytes.per_second / bursts_per_second;
  return static_cast<std::size_t>(std::clamp<std::uint64_t>(burst, small_read, any_read));
}

std::optional<metrics::RateLimit> Throttle::excess_of(std::span<const std::byte> next,
                                                      const ws::Walker& walker, Pongs pongs,
                                                      Tick now) noexcept {
  const bool at_frame = walker.at_frame_boundary();
  const auto opcode = static_cast<std::uint8_t>(std::to_integer<unsigned>(next[0]) & 0xfU);
  if (at_frame && static_cast<ws::Opcode>(opcode) == ws::Opcode::close) return std::nullopt;
  // Who is to be closed may end the frame before: a Close can't stand inside one.
  const bool judges_bytes = at_frame || mode == config::RateMode::pause;
  if (judges_bytes && !bytes.has_room(most_bytes, now)) return metrics::RateLimit::bytes;
  if (at_frame && counts_as_message(opcode, pongs) && !messages.has_room(most_messages, now))
    return metrics::RateLimit::messages;
  return std::nullopt;
}

void Throttle::charge(const ws::Step& step, Pongs pongs) noexcept {
  if (most_bytes.is_limit()) bytes.add(step.size);
  if (!most_messages.is_limit() || !step.starts_frame) return;
  if (counts_as_message(static_cast<std::uint8_t>(step.header.opcode), pongs)) messages.add(1);
}

std::uint32_t Throttle::wait_ms(Tick now) noexcept {
  return std::max(messages.wait_ms(most_messages, now), bytes.wait_ms(most_bytes, now));
}

}  // namespace holdfast::session
