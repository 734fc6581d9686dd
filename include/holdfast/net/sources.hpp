#pragma once
// The addresses that connections to backends come from.

#include <atomic>
#include <cstdint>
#include <vector>

#include "holdfast/base/error.hpp"
#include "holdfast/config/address.hpp"
#include "holdfast/net/socket.hpp"

namespace holdfast::net {

/// Each source address has ports of its own for every backend, some 28,000 by Linux's default: several make
/// room for more sessions with one backend. They take turns. Any thread.
class Sources {
 public:
  /// None of a backend's family: the kernel chooses.
  explicit Sources(std::vector<config::SocketAddress> addresses);

  /// As net::start_connect, from the source whose turn it is; one that can't be used (not of this machine, no
  /// port left) leaves it to the next.
  [[nodiscard]] Result<Socket> start_connect(const config::SocketAddress& to) const;

 private:
  std::vector<config::SocketAddress> v4_;
  std::vector<config::SocketAddress> v6_;
  mutable std::atomic<std::uint32_t> next_{0};
};

}  // namespace holdfast::net
