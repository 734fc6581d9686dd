#pragma once
// One try of one backend, the same for new handshakes and for reroutes: reaching it, and telling outlier
// detection how that came out. Private to frontend.

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>

#include "holdfast/frontend/setup_thread.hpp"
#include "holdfast/net/async_leg.hpp"

namespace holdfast::frontend {

/// A backend that has answered, whatever it said.
struct Reached {
  std::unique_ptr<net::AsyncLeg> leg;
  dial::Answer answer;
};

/// Connects to `address`, writes the PROXY header (empty = none) and exchanges heads, within connect_timeout,
/// handshake_timeout and `deadline`. The leg obeys `give_up` (null: nobody's) until it is released.
[[nodiscard]] boost::asio::awaitable<Result<Reached>> reach(
    SetupThread& thread, std::shared_ptr<const dial::Destination> destination,
    std::shared_ptr<const config::Address> address, std::string proxy_header, std::string request,
    TimePoint deadline, net::GiveUp* give_up);

/// It could not be reached: counted, and perhaps ejected, unless it was our fault.
void note_failure(const SetupThread& thread, const dial::Destination& destination, upstream::Backend& backend,
                  const Error& error);

/// It has answered with something else than 101: a 5xx counts as a failure; with anything else it is alive,
/// it only says no.
void note_answer(const SetupThread& thread, const dial::Destination& destination, upstream::Seat& seat,
                 unsigned status);

/// Its 101 does not fit the offer. Whether it does depends on what the client has offered: no client may get
/// a backend ejected by that.
void note_misfit(upstream::Backend& backend, const std::string& what);

}  // namespace holdfast::frontend
