#pragma once
// What a session whose route limits rates or fragments remembers of its client. Private to session;
// throttling.cpp.

#include <cstdint>

#include "holdfast/base/buffer_pool.hpp"
#include "holdfast/base/meter.hpp"
#include "holdfast/config/protection.hpp"

namespace holdfast::session {

struct Throttle {
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
