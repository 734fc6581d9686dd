#pragma once
// A handshake's first seat: by its sticky cookie, by the policy, or after a wait in the queue. Private to
// frontend.

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>

#include "frontend/watch.hpp"
#include "holdfast/dial/dial.hpp"
#include "holdfast/frontend/setup_thread.hpp"
#include "holdfast/session/attempt.hpp"
#include "holdfast/ws/handshake.hpp"

namespace holdfast::frontend {

struct Seated {
  enum class Why : std::uint8_t {
    nobody,  ///< no backend is eligible
    full,    ///< those that are have no room, and so has the queue
    waited,  ///< nobody left in time
    client_is_gone,
  };
  std::optional<upstream::Seat> seat;
  /// Whose seat it is where it was waited for: a reload may have come meanwhile. Else null: the one asked.
  std::shared_ptr<const dial::Destination> destination;
  Why why = Why::nobody;  ///< there is none
  bool may_wait = false;  ///< for one: wait_for_seat
};

/// A first seat at once. `preferred`: the member that the client's cookie names.
[[nodiscard]] Seated take_seat(const dial::Destination& destination, std::optional<std::size_t> preferred,
                               std::optional<std::uint64_t> hash_key);
/// Waits in the upstream's queue, at most until `deadline`. `watch`: the client's.
[[nodiscard]] boost::asio::awaitable<Seated> wait_for_seat(
    SetupThread& thread, std::shared_ptr<const dial::Destination> destination,
    std::optional<std::uint64_t> hash_key, TimePoint deadline, Watch& watch);

/// The member that the request's cookie leads to, if the upstream has cookies and there is a good one;
/// counts.
[[nodiscard]] std::optional<std::size_t> member_of_cookie(const dial::Destination& destination,
                                                          const ws::RequestHead& head);

/// The Set-Cookie that a session's 101 carries; none where the upstream has no cookies.
[[nodiscard]] std::optional<ws::ExtraField> sticky_field(const dial::Destination& destination,
                                                         const upstream::Backend& backend,
                                                         const session::SessionId& id);

}  // namespace holdfast::frontend
