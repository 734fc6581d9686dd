#pragma once
// One probe of one backend. Private to probe.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>

#include "probe/target.hpp"

namespace holdfast::probe {

struct Report {
  Result<void> result;
  TimePoint ended{};                   ///< when the result was known
  std::unique_ptr<net::AsyncLeg> leg;  ///< to part from in peace; may be null
};

/// Passes or says why not, within the probe's timeout.
///   tcp: connects. tls: and shakes hands over TLS, verified as sessions are.
///   http: the answer has an expected status, and its body what is expected.
///   websocket: the whole handshake; then our ping is answered by a pong with its payload, or what is sent by
///   a message that is expected.
[[nodiscard]] boost::asio::awaitable<Report> probe_once(boost::asio::io_context& io,
                                                        std::shared_ptr<const Target> target,
                                                        net::DescriptorBudget& budget);

/// Lets the backend end the connection, for a quarter of a second at most: one that is cut instead logs an
/// error, every few seconds.
[[nodiscard]] boost::asio::awaitable<void> part(std::unique_ptr<net::AsyncLeg> leg);

// What once.cpp is made of.
[[nodiscard]] Error failed(Failure failure, std::string what);
[[nodiscard]] boost::asio::awaitable<Result<void>> ask_http(net::AsyncLeg& leg,
                                                            std::shared_ptr<const Target> target);
[[nodiscard]] boost::asio::awaitable<Result<void>> ask_websocket(net::AsyncLeg& leg,
                                                                 std::shared_ptr<const Target> target);

}  // namespace holdfast::probe
