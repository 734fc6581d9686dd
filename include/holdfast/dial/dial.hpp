#pragma once
// From a chosen backend to a connected leg with its answer in hand: connect, TLS, request, response head.
// Used by the frontend, by probes, later by reroutes and feed sources.
//
// Thread: the io_context's. Every failure is an Error whose `failure` says what went wrong; timeouts of this
// module (one try) and the caller's deadline (all tries) look the same: Failure::timeout.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/error.hpp"
#include "holdfast/config/config.hpp"
#include "holdfast/net/async_leg.hpp"
#include "holdfast/net/socket.hpp"
#include "holdfast/net/sources.hpp"
#include "holdfast/net/tls.hpp"
#include "holdfast/upstream/sticky.hpp"
#include "holdfast/upstream/upstream.hpp"
#include "holdfast/ws/head.hpp"

namespace holdfast::dial {

/// One upstream of a snapshot with everything needed to reach its backends. Immutable, shared by all threads.
struct Destination {
  std::shared_ptr<const upstream::Upstream> upstream;
  config::Upstream settings;                       ///< `backends` in the order of upstream->backends()
  std::shared_ptr<const net::TlsClient> tls;       ///< null = plain
  std::shared_ptr<const upstream::Sticky> sticky;  ///< null = no cookie
  std::shared_ptr<const net::Sources> sources;     ///< null = the kernel chooses

  /// The settings of one of the upstream's backends; null if it isn't one.
  [[nodiscard]] const config::BackendConfig* settings_of(const upstream::Backend& backend) const noexcept;

  /// As net::start_connect, from one of the sources. A shortage of ours is counted.
  [[nodiscard]] Result<net::Socket> start_connect(const config::SocketAddress& to) const;
};

/// Tries the backend's addresses in order within connect_timeout and `deadline`: TCP, `proxy_header` (empty =
/// none), then TLS. The descriptor is charged to `budget`; the leg obeys `give_up` (null: nobody's). The
/// Destination is kept alive by the caller's shared_ptr in the argument, and so is the address.
[[nodiscard]] boost::asio::awaitable<Result<std::unique_ptr<net::AsyncLeg>>> connect(
    boost::asio::io_context& io, std::shared_ptr<const Destination> destination,
    std::shared_ptr<const config::Address> address, std::string proxy_header, net::DescriptorBudget& budget,
    TimePoint deadline, net::GiveUp* give_up = nullptr);
/// The same with an address that is no backend's.
[[nodiscard]] boost::asio::awaitable<Result<std::unique_ptr<net::AsyncLeg>>> connect(
    boost::asio::io_context& io, std::shared_ptr<const Destination> destination, config::Address address,
    std::string proxy_header, net::DescriptorBudget& budget, TimePoint deadline,
    net::GiveUp* give_up = nullptr);

/// A response head and what came behind it.
struct Answer {
  ws::ResponseHead head;
  std::string behind;
};

/// Writes a whole request head and reads the response head (interim ones are skipped). The deadline is the
/// leg's: the caller has set `expires_at`.
[[nodiscard]] boost::asio::awaitable<Result<Answer>> exchange(net::AsyncLeg& leg, std::string request);

}  // namespace holdfast::dial
