#pragma once
// Where a request carries its token, and the request without it. Sans-io; safe in every thread.

#include <string>
#include <string_view>
#include <vector>

#include "holdfast/config/auth.hpp"
#include "holdfast/metrics/auth_cells.hpp"
#include "holdfast/ws/handshake.hpp"

namespace holdfast::auth {

struct FoundToken {
  metrics::TokenResult result = metrics::TokenResult::missing;  ///< accepted: there is one, not judged yet
  std::string token;
};

/// In the first of the places that has any. Two different ones in one place are none: whoever reads the
/// request behind us might take the other. What is in Authorization without "Bearer" is no token.
[[nodiscard]] FoundToken find_token(const ws::RequestHead& head, const ws::ClientHandshake& request,
                                    const std::vector<config::TokenPlace>& from);

/// The offered subprotocols but for those that carry tokens: TOKEN behind "bearer" (that one too), or
/// "access_token.TOKEN". Neither is anybody's subprotocol.
struct Subprotocols {
  std::vector<std::string> others;
  std::vector<std::string> tokens;
  /// "bearer" as the client wrote it, empty if it didn't. Browsers end a connection that offered subprotocols
  /// and got none, so a client whose backend chose none is told this one.
  std::string bearer;
};
[[nodiscard]] Subprotocols part_subprotocols(const std::vector<std::string>& offered);

/// Adds to `edits` what takes the tokens out of headers, cookies and query. (Subprotocols: see above.)
void strip_tokens(const ws::RequestHead& head, const ws::ClientHandshake& request,
                  const std::vector<config::TokenPlace>& from, ws::Edits& edits);

}  // namespace holdfast::auth
