#pragma once
// One probe of one backend. Private to probe.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>

#include "holdfast/dial/dial.hpp"

namespace holdfast::probe {

/// Passes or says why not, within the probe's timeout.
///   tcp: connects (with TLS where the upstream has it). http: GET gives 2xx or 3xx.
///   websocket: the whole handshake, then our ping is answered by a pong with its payload.
[[nodiscard]] boost::asio::awaitable<Result<void>> probe_once(
    boost::asio::io_context& io, std::shared_ptr<const dial::Destination> destination,
    config::Address address, net::DescriptorBudget& budget);

}  // namespace holdfast::probe
