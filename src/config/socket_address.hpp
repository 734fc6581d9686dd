#pragma once
// Making socket addresses without asking a resolver.

#include <cstdint>
#include <optional>
#include <string>

#include "holdfast/config/address.hpp"

namespace holdfast::config {

/// `host` as the kernel has it: 4 bytes of AF_INET, 16 of AF_INET6, in network order.
[[nodiscard]] SocketAddress ip_socket(int family, const void* host, std::uint16_t port) noexcept;

/// Nothing if `host` is not a numeric IPv4 or IPv6 address (without brackets).
[[nodiscard]] std::optional<SocketAddress> numeric_socket(const std::string& host, std::uint16_t port);

/// Nothing if the path is empty or longer than the kernel takes (107 bytes).
[[nodiscard]] std::optional<SocketAddress> unix_socket(const std::string& path);

/// The same IP address with another port; other families stay as they are.
[[nodiscard]] SocketAddress with_port(SocketAddress address, std::uint16_t port) noexcept;

}  // namespace holdfast::config
