#pragma once
// Who gets no session, found out as early as it can be: by address and rate before TLS, by route and Origin
// as soon as the request is known. Nothing here touches a backend. Private to frontend.

#include <cstdint>
#include <optional>
#include <string>

#include "holdfast/frontend/serving.hpp"
#include "holdfast/metrics/cells.hpp"
#include "holdfast/ws/head.hpp"

namespace holdfast::frontend {

struct Refused {
  metrics::Refusal why;
  unsigned status = 0;  ///< of the answer; 0 = closed without one
  std::string what;
  std::uint32_t retry_after_s = 0;  ///< 0 = no Retry-After

  [[nodiscard]] metrics::HandshakeResult result() const noexcept;
  /// The field for the answer, or nothing.
  [[nodiscard]] std::string retry_after() const;
};

/// Before anything is read of the client but its PROXY header. Takes the connection's place at its address;
/// `seat` is its place at the listener, empty where there was none left.
[[nodiscard]] std::optional<Refused> admit(const ListenerEntry& listener, const config::SocketAddress& client,
                                           Tick now, std::optional<session::ListenerSeat>& seat);

/// Once the route is known.
[[nodiscard]] std::optional<Refused> admit(const RouteEntry& route, const config::SocketAddress& client,
                                           const ws::RequestHead& head);

/// Takes a new session's place at the upstream.
[[nodiscard]] std::optional<Refused> admit(upstream::UpstreamState& state, upstream::Circuit::Place& session);
/// That of its dial: who waits in the queue does not dial.
[[nodiscard]] std::optional<Refused> admit_dial(upstream::UpstreamState& state,
                                                upstream::Circuit::Place& dial);

}  // namespace holdfast::frontend
