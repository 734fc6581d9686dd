#pragma once
// What one pick knows, shared by the policies. Private to balance.

#include <algorithm>

#include "holdfast/balance/pick.hpp"

namespace holdfast::balance {

struct Picker::Round {
  const Field& field;
  const Wish& wish;
  Rng& rng;

  [[nodiscard]] bool may_get(std::size_t member, const View& view) const noexcept {
    if (!view.eligible || view.full || view.weight == 0) return false;
    return std::ranges::find(wish.exclude, member) == wish.exclude.end();
  }
};

// In hundredths, so that a weight of 1 can be eased in, too.
[[nodiscard]] inline std::uint64_t weight_of(const View& view) noexcept {
  return std::uint64_t{view.weight} * view.ramp;
}

// Sessions per weight, compared by cross multiplication: exact, 32 bits times 32 bits fit. Who is being eased
// in has a hundredth as unit: exact below a weight of 2^25, far above what a config allows.
[[nodiscard]] inline bool less_loaded(const View& a, const View& b) noexcept {
  if (a.ramp == b.ramp) return std::uint64_t{a.sessions} * b.weight < std::uint64_t{b.sessions} * a.weight;
  return a.sessions * weight_of(b) < b.sessions * weight_of(a);
}

}  // namespace holdfast::balance
