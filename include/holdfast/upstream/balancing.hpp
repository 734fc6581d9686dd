#pragma once
// How an upstream's next backend is found: what a snapshot says of it.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "holdfast/balance/pick.hpp"
#include "holdfast/base/clock.hpp"

namespace holdfast::upstream {

class Backend;

/// What is fixed for one backend in a snapshot. The weight that a pick goes by is the Backend's; this one
/// measures its part of a hash ring.
struct Traits {
  std::uint32_t weight = 1;
  balance::Rank rank = balance::Rank::primary;
  balance::Zone zone = balance::Zone::own;
};

struct Balancing {
  Balancing() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): a policy alone is a whole Balancing.
  Balancing(balance::Policy policy) { rules.policy = policy; }

  balance::Rules rules;
  Milliseconds slow_start{0};  ///< 0 = full weight at once
  std::vector<Traits> traits;  ///< one for each member, or none: all as by default
};

/// What one session asks of a pick.
struct Wish {
  std::span<const Backend* const> exclude{};  ///< tried already, or being left
  std::optional<std::uint64_t> key{};         ///< for the hash policies
  balance::Purpose purpose = balance::Purpose::needs_place;
};

}  // namespace holdfast::upstream
