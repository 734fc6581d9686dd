#pragma once
// The PROXY protocol at both ends of a handshake: what the client's side begins with, and what a backend is
// told first. Private to frontend.

#include <boost/asio/awaitable.hpp>
#include <string>
#include <string_view>

#include "holdfast/config/config.hpp"
#include "holdfast/net/async_leg.hpp"
#include "holdfast/net/proxy_header.hpp"

namespace holdfast::frontend {

/// Whether a connection from `peer` may begin with a PROXY header: one of trusted_peers, or whoever the
/// permissions of a unix socket let in.
[[nodiscard]] bool may_proxy(const config::Listener& listener, const config::SocketAddress& peer);

/// Reads it off a plain leg and not a byte more, within the leg's deadline.
[[nodiscard]] boost::asio::awaitable<Result<net::ProxyHeader>> read_proxy_header(net::AsyncLeg& leg);

/// Of a session that goes to another backend: what its first one was told (version 2, empty = nothing), in
/// the version that its upstream wants now.
[[nodiscard]] std::string proxy_header_again(std::string_view first, config::ProxyVersion version);

}  // namespace holdfast::frontend
