#pragma once
// Why a session's backend leg is replaced, and how that came out: log words, metric labels and the `cause`
// that the next backend is told (SESSIONS.md promise 5).

#include <cstddef>
#include <cstdint>

namespace holdfast {

enum class Cause : std::uint8_t {
  lost,       ///< FIN, RST, silence: the leg is dead
  closing,    ///< the backend sent a Close with one of `reroute.close_codes`
  unhealthy,  ///< the probes' verdict
  draining,   ///< the operator's
  disabled,   ///< the operator's; what has not moved after 5 s is treated as lost
  removed,    ///< a reload removed the backend
  rebalance,  ///< evening out
  requested,  ///< POST /sessions/ID/move
};
inline constexpr std::size_t cause_count = 8;

[[nodiscard]] constexpr const char* text(Cause cause) noexcept {
  constexpr const char* words[cause_count] = {"lost",     "close",   "unhealthy", "draining",
                                              "disabled", "removed", "rebalance", "requested"};
  return words[static_cast<std::size_t>(cause)];
}

/// An order to leave a backend gives way to a more urgent one. From 2 on neither a quiet point is waited for
/// nor the pace of planned moves nor a place among them.
[[nodiscard]] constexpr unsigned urgency(Cause cause) noexcept {
  switch (cause) {
    case Cause::disabled:
      return 3;
    case Cause::unhealthy:
      return 2;
    case Cause::removed:
      return 1;
    case Cause::lost:
    case Cause::closing:
    case Cause::draining:
    case Cause::rebalance:
    case Cause::requested:
      break;
  }
  return 0;
}

/// The four words of `reroute.on`, as bits of a mask.
enum class Occasion : std::uint8_t { lost, unhealthy, draining, rebalance };
inline constexpr std::size_t occasion_count = 4;

[[nodiscard]] constexpr Occasion occasion(Cause cause) noexcept {
  switch (cause) {
    case Cause::lost:
    case Cause::closing:
      return Occasion::lost;
    case Cause::unhealthy:
      return Occasion::unhealthy;
    case Cause::draining:
    case Cause::disabled:
    case Cause::removed:
      return Occasion::draining;
    case Cause::rebalance:
    case Cause::requested:
      return Occasion::rebalance;
  }
  return Occasion::lost;
}
[[nodiscard]] constexpr std::uint8_t bit(Occasion occasion) noexcept {
  return static_cast<std::uint8_t>(1U << static_cast<unsigned>(occasion));
}

/// How a reroute or a move ended.
enum class RerouteResult : std::uint8_t {
  attached,        ///< the session goes on with another backend
  no_backend,      ///< `hold` or `attempts` were used up: Close 1013
  refused,         ///< the new backend said 401 or 403: Close 1012
  kills_backends,  ///< its legs died early three times in a minute: Close 1011
  gone,            ///< the session ended for another reason meanwhile
  stayed,          ///< a move that found nobody else or no message boundary: the old leg goes on
};
inline constexpr std::size_t reroute_result_count = 6;

[[nodiscard]] constexpr const char* text(RerouteResult result) noexcept {
  constexpr const char* words[reroute_result_count] = {"attached",       "no_backend", "refused",
                                                       "kills_backends", "gone",       "stayed"};
  return words[static_cast<std::size_t>(result)];
}

}  // namespace holdfast
