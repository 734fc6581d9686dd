#pragma once
// Which limit turned a client away: metric label, and what /status and the alert rules speak of.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace holdfast::metrics {

/// The words are those of the keys in the configuration.
enum class Refusal : std::uint8_t {
  denied,                            ///< allow, deny: of the listener (closed) or of the route (403)
  origin,                            ///< origins, require_origin: 403
  max_sessions,                      ///< of the listener: 503
  max_sessions_per_ip,               ///< 429
  max_handshakes_per_second,         ///< 503
  max_handshakes_per_second_per_ip,  ///< 429
  descriptors,                       ///< the process's: 503
  circuit_sessions,                  ///< circuit_breaker.max_sessions of the upstream: 503
  circuit_pending,                   ///< circuit_breaker.max_pending of the upstream: 503
};
inline constexpr std::size_t refusal_count = 9;

[[nodiscard]] constexpr std::string_view text(Refusal refusal) noexcept {
  constexpr std::array<std::string_view, refusal_count> words{"denied",
                                                              "origin",
                                                              "max_sessions",
                                                              "max_sessions_per_ip",
                                                              "max_handshakes_per_second",
                                                              "max_handshakes_per_second_per_ip",
                                                              "descriptors",
                                                              "circuit_sessions",
                                                              "circuit_pending"};
  return words[static_cast<std::size_t>(refusal)];
}

/// Which rate paused a session's client.
enum class RateLimit : std::uint8_t { messages, bytes };
inline constexpr std::size_t rate_limit_count = 2;

[[nodiscard]] constexpr std::string_view text(RateLimit limit) noexcept {
  return limit == RateLimit::messages ? "messages" : "bytes";
}

}  // namespace holdfast::metrics
