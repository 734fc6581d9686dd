#pragma once
// Whether a client may have a session by its route's auth: its token, then the forward_auth service. Private
// to frontend.

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>

#include "holdfast/auth/ruling.hpp"
#include "holdfast/auth/token.hpp"
#include "holdfast/frontend/route_auth.hpp"
#include "holdfast/frontend/setup_thread.hpp"
#include "holdfast/ws/handshake.hpp"

namespace holdfast::frontend {

/// What being let in comes with.
struct Admission {
  ws::Edits edits;                      ///< of what the backends get, the first one and later ones
  std::optional<auth::WallTime> until;  ///< when its token is over
  std::optional<std::string> offered;   ///< subprotocols for the backend; nullopt = as the client wrote them
  std::string bearer;                   ///< subprotocol that the client is told where the backend chose none
};

struct Refusal {
  ws::Rejection answer;  ///< tells the client no more than it must know
  metrics::HandshakeResult result = metrics::HandshakeResult::unauthorized;
  std::string why;  ///< for the log; holds nothing of the token
};

/// The route has `jwt`. Takes tokens out of the request's subprotocols: nobody shall be offered them.
[[nodiscard]] std::optional<Refusal> check_token(const RouteAuth& route, metrics::AuthCells& cells,
                                                 const ws::RequestHead& head, ws::ClientHandshake& request,
                                                 auth::WallTime now, Admission& admission);

/// What the service of `route` may know of a request: `by` without the token, where that is stripped.
[[nodiscard]] ws::ForwardedBy for_service(ws::ForwardedBy by, const RouteAuth& route,
                                          const Admission& admission);

/// The route has `forward_auth`. `question` as ws::build_question has it. Known rulings are not asked for
/// again. Counts.
[[nodiscard]] boost::asio::awaitable<auth::Ruling> ask_service(SetupThread& thread,
                                                               std::shared_ptr<const RouteAuth> route,
                                                               std::string question, net::GiveUp* give_up);
[[nodiscard]] std::optional<Refusal> apply_ruling(auth::Ruling ruling, const config::ForwardAuth& settings,
                                                  Admission& admission);

/// Tenths of seconds from `now` on, for Handover::token_lasts_100ms.
[[nodiscard]] std::uint32_t token_lasts_100ms(const Admission& admission, auth::WallTime now) noexcept;

}  // namespace holdfast::frontend
