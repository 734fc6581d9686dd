#include "holdfast/metrics/auth_cells.hpp"

namespace holdfast::metrics {

namespace {

constexpr std::array<std::string_view, token_result_count> token_texts{
    "accepted", "missing",       "ambiguous", "malformed", "algorithm", "unknown_key", "bad_signature",
    "expired",  "not_yet_valid", "no_expiry", "issuer",    "audience",  "claims"};
constexpr std::array<std::string_view, forward_result_count> forward_texts{"allowed", "denied", "unexpected",
                                                                           "unreachable", "timeout"};

}  // namespace

std::string_view text(TokenResult result) noexcept {
  return token_texts[static_cast<std::size_t>(result)];
}

std::string_view text(ForwardResult result) noexcept {
  return forward_texts[static_cast<std::size_t>(result)];
}

}  // namespace holdfast::metrics
