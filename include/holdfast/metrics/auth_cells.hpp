#pragma once
// Counting cells of routes that ask who their clients are.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "holdfast/metrics/cells.hpp"

namespace holdfast::metrics {

/// How a look at a request's token ended.
enum class TokenResult : std::uint8_t {
  accepted,
  missing,        ///< nowhere where it may be
  ambiguous,      ///< several in one place
  malformed,      ///< no JWS in compact form, or not of a kind that we take
  algorithm,      ///< not one of those listed
  unknown_key,    ///< no key of that id and algorithm
  bad_signature,  ///
  expired,        ///< exp and leeway have passed
  not_yet_valid,  ///< nbf or iat lies in the future
  no_expiry,      ///< no exp, though it is required
  issuer,         ///< not the one that is asked for
  audience,       ///< it is for others
  claims,         ///< a claim that is to be a field can't be one
};
inline constexpr std::size_t token_result_count = 13;
[[nodiscard]] std::string_view text(TokenResult result) noexcept;

/// How a question to a forward_auth service ended.
enum class ForwardResult : std::uint8_t {
  allowed,      ///< 2xx
  denied,       ///< 4xx
  unexpected,   ///< any other status, or an answer that is none
  unreachable,  ///< no connection, or an end without an answer
  timeout,
};
inline constexpr std::size_t forward_result_count = 5;
[[nodiscard]] std::string_view text(ForwardResult result) noexcept;

/// Writer: one setup thread.
struct alignas(cache_line_bytes) AuthCells {
  AuthCells() noexcept;

  std::array<Counter, token_result_count> tokens;
  std::array<Counter, forward_result_count> forwards;  ///< those from the cache too
  Counter cache_hits;
  Histogram forward_duration;  ///< of questions that were put, connect included

  void token(TokenResult result) noexcept { tokens[static_cast<std::size_t>(result)].add(); }
  void forward(ForwardResult result) noexcept { forwards[static_cast<std::size_t>(result)].add(); }
};

}  // namespace holdfast::metrics
