#pragma once
// What other legs need of plain ones. Private to net.

#include <cstddef>
#include <memory>
#include <span>

#include "holdfast/net/leg.hpp"
#include "holdfast/net/socket.hpp"

namespace holdfast::net {

/// The connection of a leg that make_plain_leg has made: whoever has it reads on where the leg has stopped.
[[nodiscard]] Socket take_socket(std::unique_ptr<Leg> plain) noexcept;
/// The same of any leg; none where it is not such a one.
[[nodiscard]] Socket take_socket_if_plain(Leg& leg) noexcept;

namespace plain {

/// Of one read: a frame of 16 KiB at once; more than 32 KiB leave the cache before they are written.
inline constexpr std::size_t read_bytes = 32UL * 1024;
[[nodiscard]] IoResult read(int descriptor, std::span<std::byte> into) noexcept;
[[nodiscard]] IoResult write(int descriptor, std::span<const std::byte> bytes, int flags) noexcept;

}  // namespace plain

}  // namespace holdfast::net
