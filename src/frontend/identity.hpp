#pragma once
// How a session shows itself to its backends (SESSIONS.md promise 5): a random id that stays the same for
// life, the number of the reroute, and, with `reroute.secret_file`, a proof that this proxy wrote both. Any
// thread, but for Randomness. Private to frontend.

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "holdfast/session/attempt.hpp"
#include "holdfast/ws/handshake.hpp"

namespace holdfast::frontend {

/// Random bytes of OpenSSL's generator, fetched in stocks: a call costs the same for 16 bytes as for 500. Not
/// for secrets that must not lie in memory beforehand. Thread: one at a time.
class Randomness {
 public:
  using Bytes = std::array<std::uint8_t, 16>;
  [[nodiscard]] Bytes take();  ///< throws std::runtime_error when the generator fails

 private:
  std::array<std::uint8_t, 32 * sizeof(Bytes)> stock_;
  std::size_t used_ = sizeof stock_;
};

/// A fresh Sec-WebSocket-Key.
[[nodiscard]] std::string random_key(Randomness& randomness);
[[nodiscard]] session::SessionId random_session_id(Randomness& randomness);

using WallTime = std::chrono::system_clock::time_point;

/// Holdfast-Session: the id's 32 hexadecimal digits.
[[nodiscard]] ws::ExtraField session_field(const session::SessionId& id);

/// Holdfast-Reroute: "<number>; cause=<cause>", and with a secret "; time=<time>; hmac=<signature>".
///   number = 0 for a session's first handshake (its cause is "first"), 1 at its first reroute, and so on;
///   time = seconds since 1970;
///   signature = HMAC-SHA-256 in lower-case hexadecimal, key: `secret` (what secret_file holds, without white
///   space around it), message: "<id> <number> <time>", the id as in Holdfast-Session, one blank between.
[[nodiscard]] ws::ExtraField reroute_field(const session::SessionId& id, std::uint32_t number,
                                           std::string_view cause, std::string_view secret, WallTime now);

}  // namespace holdfast::frontend
