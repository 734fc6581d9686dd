#include "holdfast/net/sources.hpp"

#include <utility>

namespace holdfast::net {

Sources::Sources(std::vector<config::SocketAddress> addresses) {
  for (config::SocketAddress& each : addresses)
    (each.family() == AF_INET6 ? v6_ : v4_).push_back(std::move(each));
}

Result<Socket> Sources::start_connect(const config::SocketAddress& to) const {
  static const std::vector<config::SocketAddress> none;
  const auto& from = to.family() == AF_INET6 ? v6_ : to.family() == AF_INET ? v4_ : none;
  if (from.empty()) return net::start_connect(to);
  const std::uint32_t first = next_.fetch_add(1, std::memory_order_relaxed);
  Result<Socket> outcome = net::start_connect(to, &from[first % from.size()]);
  for (std::size_t n = 1; n < from.size() && !outcome && outcome.error().side == Side::us; ++n)
    outcome = net::start_connect(to, &from[(first + n) % from.size()]);
  return outcome;
}

}  // namespace holdfast::net
