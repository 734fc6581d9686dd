#pragma once
// Whether bytes are UTF-8 (RFC 3629: no surrogates, no overlong forms, up to U+10FFFF): for messages that we
// answer for. Pure, any thread.

#include <cstddef>
#include <span>

namespace holdfast::ws {

[[nodiscard]] bool is_utf8(std::span<const std::byte> bytes) noexcept;

}  // namespace holdfast::ws
