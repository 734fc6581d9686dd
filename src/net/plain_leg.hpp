#pragma once
// What TLS legs need of plain ones. Private to net.

#include <memory>

#include "holdfast/net/leg.hpp"
#include "holdfast/net/socket.hpp"

namespace holdfast::net {

/// The connection of a leg that make_plain_leg has made: whoever has it reads on where the leg has stopped.
[[nodiscard]] Socket take_socket(std::unique_ptr<Leg> plain) noexcept;

}  // namespace holdfast::net
