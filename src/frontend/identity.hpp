#pragma once
// How a session shows itself to its backends (SESSIONS.md promise 5): a random id that stays the same for
// life, the number of the reroute, and, with `reroute.secret_file`, a proof that this proxy wrote both. Any
// thread. Private to frontend.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "holdfast/session/attempt.hpp"
#include "holdfast/ws/handshake.hpp"

namespace holdfast::frontend {

/// A fresh Sec-WebSocket-Key.
[[nodiscard]] std::string random_key();
[[nodiscard]] session::SessionId random_session_id();

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
