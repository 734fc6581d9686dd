#pragma once
// How many sessions each backend of an upstream has too many: pure arithmetic.

#include <cstdint>
#include <span>
#include <vector>

namespace holdfast::server {

/// One backend that can take sessions: healthy, active, not ejected.
struct Share {
  std::uint64_t sessions = 0;
  std::uint32_t weight = 1;        ///< 0: it takes none, and those it has are left alone
  std::uint64_t max_sessions = 0;  ///< 0 = no limit
  bool goes_home = false;  ///< its sessions belong elsewhere: a backup's while primaries are there; weight 0
};

/// For each share, how many sessions it has above `threshold` percent over the mean of sessions per weight.
/// Backends whose max_sessions keeps them below the mean don't count in it. Nobody is asked to go below the
/// mean, rounded up: sessions that moved would have to come back. Whose sessions go home has all of them too
/// many, if there is anybody to take them.
[[nodiscard]] std::vector<std::uint64_t> excess(std::span<const Share> shares, std::uint32_t threshold);

/// `total` in `parts` parts that differ by one at most; the larger ones begin at index `first`.
[[nodiscard]] std::vector<std::uint64_t> divide(std::uint64_t total, std::size_t parts, std::size_t first);

}  // namespace holdfast::server
