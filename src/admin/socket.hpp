#pragma once
// Sockets of the admin port: TCP or unix by one generic protocol type.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <cstdint>

#include "holdfast/base/error.hpp"
#include "holdfast/config/address.hpp"

namespace holdfast::admin {

using Protocol = boost::asio::generic::stream_protocol;
using Acceptor = boost::asio::basic_socket_acceptor<Protocol>;
using Stream = boost::beast::basic_stream<Protocol>;

/// Binds and listens. A unix socket that a dead process left is replaced; the new one is for the
/// owner only.
[[nodiscard]] Result<Acceptor> open_acceptor(boost::asio::io_context& io, const config::Address& bind);

/// Closes it and removes a unix socket's file.
void close_acceptor(Acceptor& acceptor);

/// 0 if not TCP.
[[nodiscard]] std::uint16_t port_of(const Acceptor& acceptor) noexcept;

[[nodiscard]] Protocol::endpoint to_endpoint(const config::SocketAddress& address);

/// Ends a connection so that the peer can read our last answer: close with unread input would send
/// RST. Bounded by a second.
[[nodiscard]] boost::asio::awaitable<void> linger(Stream& stream);

}  // namespace holdfast::admin
