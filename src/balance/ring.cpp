#include "holdfast/balance/ring.hpp"

#include <tuple>

namespace holdfast::balance {
namespace {

constexpr std::uint64_t most_points = 1U << 19U;
constexpr std::uint64_t per_unit_at_most = 128;
constexpr std::uint64_t step = 4;

std::uint64_t points_per_unit(std::uint64_t total_weight) {
  std::uint64_t per_unit = per_unit_at_most;
  while (per_unit > 1 && per_unit * total_weight > most_points) per_unit /= step;
  return std::max<std::uint64_t>(per_unit, 1);
}

}  // namespace

Ring::Ring(std::span<const Member> members) {
  std::uint64_t total = 0;
  for (const Member& member : members) total += member.weight;
  const std::uint64_t per_unit = points_per_unit(total);
  points_.reserve(per_unit * total);
  counts_.reserve(members.size());
  for (std::size_t n = 0; n < members.size(); ++n) {
    const auto count = static_cast<std::uint32_t>(per_unit * members[n].weight);
    counts_.push_back(count);
    for (std::uint32_t rank = 0; rank < count; ++rank) {
      const std::uint64_t bits = mixed(members[n].identity ^ mixed(rank));
      points_.push_back({static_cast<std::uint32_t>(bits >> 32U), static_cast<std::uint32_t>(n), rank});
    }
  }
  // Two points in one place must have the same order whatever the order of the members is.
  std::ranges::sort(points_, [&](const Point& a, const Point& b) {
    return std::tuple(a.place, members[a.member].identity, a.rank) <
           std::tuple(b.place, members[b.member].identity, b.rank);
  });
}

}  // namespace holdfast::balance
