#pragma once
// One attempt to give a session another backend leg: connect, send its first request again, judge the answer.
// Private to frontend.

#include <boost/asio/awaitable.hpp>
#include <memory>

#include "holdfast/frontend/setup_thread.hpp"
#include "holdfast/session/attempt.hpp"

namespace holdfast::frontend {

/// An attempt whose turn has come.
struct Way {
  std::shared_ptr<const session::Attempt> attempt;
  std::shared_ptr<const dial::Destination> destination;
  std::shared_ptr<const config::Reroute> reroute;  ///< null: its route is gone, the upstream is not
  upstream::Seat seat;
  upstream::Dialling dialling;       ///< until the backend has answered
  upstream::Circuit::Place pending;  ///< as long
};

/// A reply without leg and seat.
[[nodiscard]] std::unique_ptr<session::AttemptReply> reply_to(const session::Attempt& attempt,
                                                              session::AttemptResult result,
                                                              std::string what);

/// Never null. Ends within connect_timeout, handshake_timeout and the attempt's own deadline.
[[nodiscard]] boost::asio::awaitable<std::unique_ptr<session::AttemptReply>> reattach(SetupThread& thread,
                                                                                      Way way);

}  // namespace holdfast::frontend
