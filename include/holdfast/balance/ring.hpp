// A hash ring: each member has points on a circle in proportion to its weight, a key belongs to the member of
// the next point. A member's points depend on its identity alone, so when one of n goes only its own keys
// (about 1/n) move, each to whoever is next on the circle, and when it is back they come back.
//
// Points per unit of weight: 128 as long as all weights add up to 4,096 at most, a quarter of that for each
// further factor of four: at most half a million points up to a total weight of half a million. Crossing such
// a step moves most keys once. Immutable; any thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "holdfast/balance/view.hpp"

namespace holdfast::balance {

class Ring {
 public:
  Ring() = default;  // nobody
  explicit Ring(std::span<const Member> members);

  // How far a key is carried before it is given up: who has so many points behind them that nobody takes is
  // looked for in another way.
  static constexpr std::size_t most_steps = 8192;

  // The first point behind `key` that accept(member, rank) takes. `rank` counts the member's own points from
  // 0: who counts for less than its whole weight takes only the lower ones (see `active`).
  template <class Accept>
  [[nodiscard]] std::optional<std::size_t> find(std::uint64_t key, Accept accept) const;

  // Whether a point of that rank counts when `percent` of the member's weight does; rank 0 always does.
  [[nodiscard]] bool active(std::size_t member, std::uint32_t rank, std::uint8_t percent) const noexcept {
    return rank == 0 || std::uint64_t{rank} * 100 < std::uint64_t{counts_[member]} * percent;
  }
  [[nodiscard]] std::size_t size() const noexcept { return points_.size(); }

 private:
  struct Point {
    std::uint32_t place;
    std::uint32_t member;
    std::uint32_t rank;
  };

  std::vector<Point> points_;  // by place
  std::vector<std::uint32_t> counts_;
};

template <class Accept>
std::optional<std::size_t> Ring::find(std::uint64_t key, Accept accept) const {
  const auto place = static_cast<std::uint32_t>(mixed(key) >> 32U);
  auto point = std::ranges::lower_bound(points_, place, {}, &Point::place);
  for (std::size_t steps = std::min(points_.size(), most_steps); steps > 0; --steps, ++point) {
    if (point == points_.end()) point = points_.begin();
    if (accept(point->member, point->rank)) return point->member;
  }
  return std::nullopt;
}

}  // namespace holdfast::balance
