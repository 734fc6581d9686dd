#pragma once
// What a route's `reroute` settings make of a session's first handshake, so that another backend can go on
// with it later: what is offered, what the client is told, what is kept. Pure; private to frontend.

#include <memory>
#include <vector>

#include "frontend/common_fields.hpp"
#include "holdfast/config/reroute.hpp"
#include "holdfast/session/attempt.hpp"
#include "holdfast/ws/continuation.hpp"
#include "holdfast/ws/handshake.hpp"

namespace holdfast::frontend {

/// What the backend is offered instead of the client's extensions, by `compression`. Where a session is never
/// rerouted (`on` is empty) "pin" would only cost compression: the client's offer passes as with "pass".
[[nodiscard]] std::vector<ws::Extension> extensions_to_offer(const config::Reroute& reroute,
                                                             const std::vector<ws::Extension>& of_client);

/// The same as fields of the request; the client's bytes are left alone where they may pass.
[[nodiscard]] ws::Offer first_offer(const config::Reroute& reroute,
                                    const std::vector<ws::Extension>& offered);

/// What the client is told of what the backend has answered to that offer.
[[nodiscard]] ws::Agreement agreement_with_client(const config::Reroute& reroute, ws::Agreement agreement);

/// Whether a session with this agreement can go on with another backend.
[[nodiscard]] session::Continuity continuity_of(const config::Reroute& reroute,
                                                const ws::Agreement& agreement);

/// What its reroutes will need; null where there are none. `stem`: ws::build_request_stem of `head`;
/// `proxy_header`: what backends are told first.
[[nodiscard]] std::unique_ptr<const session::Continuation> keep_for_reroutes(
    const config::Reroute& reroute, const ws::Agreement& agreement, const ws::RequestHead& head,
    std::string_view stem, CommonFields& common_fields, std::string_view proxy_header = {});

}  // namespace holdfast::frontend
