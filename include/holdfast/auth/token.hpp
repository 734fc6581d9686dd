#pragma once
// A JWT in JWS compact form (RFC 7515, RFC 7519): is it good, until when, and what does it say? Sans-io;
// time comes in as an argument. Safe in every thread.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "holdfast/auth/key_set.hpp"
#include "holdfast/config/auth.hpp"
#include "holdfast/metrics/auth_cells.hpp"

namespace holdfast::auth {

using WallTime = std::chrono::sys_time<std::chrono::milliseconds>;

/// What a good token leads to.
struct Grant {
  std::optional<WallTime> until;  ///< exp and leeway; none = it has no exp
  /// claims_to_headers of the claims that it has and that are not empty. The values can stand in a head: no
  /// control characters, no blanks at the ends, 4 KiB at most; lists are joined by commas.
  std::vector<std::pair<std::string, std::string>> fields;
};

struct TokenVerdict {
  metrics::TokenResult result = metrics::TokenResult::missing;
  Grant grant;  ///< of an accepted one
};

/// Bytes of the client's; nothing of them is believed before the signature is verified. `exp` is over once
/// `now` has reached it and the leeway.
[[nodiscard]] TokenVerdict judge_token(std::string_view token, const config::Jwt& rules, const KeySet& keys,
                                       WallTime now);

}  // namespace holdfast::auth
