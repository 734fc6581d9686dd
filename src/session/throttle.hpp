#pragma once
// What is remembered of a client whose route limits rates or fragments, and what is within them. Who has it
// (a session, a feed's subscriber) does not read a client that is too fast, or closes it. Sans-io.
//
// Thread: its owner's.

#include <cstdint>
#include <optional>
#include <span>

#include "holdfast/base/buffer_pool.hpp"
#include "holdfast/base/meter.hpp"
#include "holdfast/config/protection.hpp"
#include "holdfast/net/leg.hpp"
#include "holdfast/session/route_state.hpp"
#include "holdfast/ws/walker.hpp"

namespace holdfast::session {

struct Throttle {
  /// Whether pongs are answers to a ping of ours, which don't count.
  enum class Pongs : std::uint8_t { count, are_answers };

  void take_limits(const RouteState& route) noexcept;
  /// So that little has to be kept for a client that is paused.
  [[nodiscard]] std::size_t wanted_read_limit() const noexcept;
  /// Before the walker sees `next`, which is not empty: what may not be taken yet must come to it again.
  [[nodiscard]] std::optional<metrics::RateLimit> excess_of(std::span<const std::byte> next,
                                                            const ws::Walker& walker, Pongs pongs,
                                                            Tick now) noexcept;
  void charge(const ws::Step& step, Pongs pongs) noexcept;
  /// How long until more is within the limits; 0 = it is now.
  [[nodiscard]] std::uint32_t wait_ms(Tick now) noexcept;

  static constexpr std::size_t any_read = net::CipherScratch::capacity;

  // As the route has them, taken once a read.
  Rate most_messages;
  Rate most_bytes;
  config::RateMode mode = config::RateMode::pause;

  Meter messages;
  Meter bytes;
  BufferPtr stalled;           ///< what has been read and may not be taken yet
  std::size_t read_limit = 0;  ///< as last told to the leg
  std::uint32_t pauses = 0;
  std::uint32_t continuations = 0;  ///< frames of the message under way after its first
};

}  // namespace holdfast::session
