// Which backend gets the next session. Pure: everything it knows comes in as an argument, so one
// seed gives one sequence of picks. Not thread-safe by itself: the caller guards `rng` and `turns`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <vector>

namespace holdfast::balance {

enum class Policy : std::uint8_t { least_connections, round_robin };

// One backend at the moment of a pick.
struct View {
  std::uint32_t sessions = 0;  // those being set up included
  std::uint32_t weight = 1;    // share of sessions relative to the others; 0 = gets nothing
  bool eligible = true;        // healthy, not ejected, active
  bool full = false;           // has all the sessions it may have
};

using Rng = std::mt19937_64;

// Smooth weighted round robin between picks: what each backend is owed, in units of weight. Sized
// by `pick`; a change of the number of backends starts afresh.
struct RoundRobin {
  std::vector<std::int64_t> owed;
};

// Index into `views`, or nullopt when nobody may get it: not eligible, full, without weight or listed
// in `exclude` (indexes; few).
//  - least_connections: fewest sessions per weight; ties are broken at random, each with the same
//    chance, so that many proxies that start together do not all begin with the first backend.
//  - round_robin: each gets its weight's share, spread evenly over the turn instead of in bursts.
[[nodiscard]] std::optional<std::size_t> pick(Policy policy, std::span<const View> views,
                                              std::span<const std::size_t> exclude, Rng& rng,
                                              RoundRobin& turns);

}  // namespace holdfast::balance
