#pragma once
// A backend's non-101 answer on its way to the client, as plain HTTP.

#include <boost/asio/awaitable.hpp>

#include "holdfast/dial/dial.hpp"
#include "holdfast/net/async_leg.hpp"

namespace holdfast::frontend {

/// Head, then the body's bytes as they come up to the body's end, at most 30 s in all. No tunnel: nothing the
/// client sends reaches the backend.
[[nodiscard]] boost::asio::awaitable<Result<void>> relay_answer(net::AsyncLeg& client, net::AsyncLeg& backend,
                                                                dial::Answer answer);

}  // namespace holdfast::frontend
