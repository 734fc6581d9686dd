#pragma once
// A picker over plain views that tests change by hand.

#include <array>
#include <cstdlib>
#include <string>
#include <vector>

#include "holdfast/balance/pick.hpp"

namespace holdfast::balance {

// The seed of all random worlds; HOLDFAST_TEST_SEED replays one.
inline std::uint64_t world_seed() {
  const char* const given = std::getenv("HOLDFAST_TEST_SEED");
  return given == nullptr ? 20'240'601 : std::strtoull(given, nullptr, 10);
}

inline constexpr std::array all_policies{Policy::least_connections, Policy::round_robin, Policy::two_choices,
                                         Policy::random, Policy::hash};

struct Stage final : Field {
  Stage(Policy policy, std::vector<View> seen, std::uint64_t seed = 1)
      : views(std::move(seen)), rng(seed), picker({}, {}) {
    rules.policy = policy;
    for (std::size_t n = 0; n < views.size(); ++n) {
      members.push_back({hash_of("10.0.0." + std::to_string(n) + ":9000"), views[n].weight});
    }
    renew();
  }
  /// After a change of rules, members, or who is eligible.
  void renew() {
    picker = Picker(rules, members);
    picker.arrange(*this);
  }
  [[nodiscard]] View look(std::size_t member) const override { return views[member]; }
  std::optional<std::size_t> pick(const Wish& wish = {}) { return picker.pick(*this, wish, rng); }
  /// Picks, and the session stays.
  std::optional<std::size_t> place(const Wish& wish = {}) {
    const auto index = pick(wish);
    if (index) ++views[*index].sessions;
    return index;
  }

  Rules rules;
  std::vector<View> views;
  std::vector<Member> members;
  Rng rng;
  Picker picker;
};

}  // namespace holdfast::balance
