#pragma once
// What both kinds of leg do alike with their TCP socket.

#include "holdfast/net/leg.hpp"

namespace holdfast::net::tcp {

[[nodiscard]] bool would_block(int error) noexcept;
[[nodiscard]] Liveness liveness(int descriptor) noexcept;
[[nodiscard]] IoState discard(int descriptor) noexcept;
void abort(int descriptor) noexcept;
/// Sends what MSG_MORE has kept back.
void push(int descriptor) noexcept;

/// TCP_NOTSENT_LOWAT, see tcp(7).
void limit_unsent(int descriptor) noexcept;

}  // namespace holdfast::net::tcp
