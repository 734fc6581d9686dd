#include "frontend/proxying.hpp"

#include <algorithm>
#include <span>

namespace holdfast::frontend {

namespace asio = boost::asio;

bool may_proxy(const config::Listener& listener, const config::SocketAddress& peer) {
  if (peer.family() == AF_UNIX) return true;
  return std::ranges::any_of(listener.trusted_peers,
                             [&](const config::Network& network) { return network.contains(peer.get()); });
}

asio::awaitable<Result<net::ProxyHeader>> read_proxy_header(net::AsyncLeg& leg) {
  std::string bytes;
  for (;;) {
    const auto missing = net::proxy_header_missing(bytes);
    if (!missing) co_return missing.error();
    if (missing.value() == 0) break;
    const std::size_t before = bytes.size();
    bytes.resize(before + missing.value());
    auto got = co_await leg.read_some(std::as_writable_bytes(std::span(bytes)).subspan(before));
    if (!got) co_return got.error();
    bytes.resize(before + got.value());
  }
  co_return net::parse_proxy_header(bytes);
}

std::string proxy_header_again(std::string_view first, config::ProxyVersion version) {
  if (version == config::ProxyVersion::off) return {};
  const auto known = net::parse_proxy_header(first);
  return net::build_proxy_header(known ? known.value() : net::ProxyHeader{}, version);
}

}  // namespace holdfast::frontend
