#pragma once
// What a hash policy goes by, taken from the request as a backend gets it: at the first handshake from its
// stem (ws::build_request_stem), at a reroute from the same stem as it was kept. So nothing more is kept of a
// session, and a policy that a reload has changed holds for its next reroute. Pure; private to frontend.

#include <cstdint>
#include <optional>
#include <string_view>

#include "holdfast/config/balancing.hpp"
#include "holdfast/session/continuation.hpp"

namespace holdfast::frontend {

/// Nothing for policies that don't hash, and for requests without that header, cookie or parameter. Values
/// are compared as they were sent, without decoding.
///   ip: the client's address. Behind a trusted peer (it has written X-Forwarded-For) the one that the peer
///   names last.
[[nodiscard]] std::optional<std::uint64_t> hash_key(const config::Policy& policy, std::string_view stem);
[[nodiscard]] std::optional<std::uint64_t> hash_key(const config::Policy& policy,
                                                    const session::Continuation& kept);

/// The next cookie of that name in a Cookie field's value; `rest` is what is left behind it. Nothing: no
/// more.
[[nodiscard]] std::optional<std::string_view> next_cookie(std::string_view& rest, std::string_view name);

}  // namespace holdfast::frontend
