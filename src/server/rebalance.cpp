#include "server/rebalance.hpp"

#include <algorithm>
#include <cmath>

namespace holdfast::server {

namespace {

// Sessions per weight, were they even; `counted` marks those that take part.
double mean(std::span<const Share> shares, const std::vector<char>& counted) {
  std::uint64_t sessions = 0;
  std::uint64_t weight = 0;
  for (std::size_t n = 0; n < shares.size(); ++n) {
    if (counted[n] == 0) continue;
    sessions += shares[n].sessions;
    weight += shares[n].weight;
  }
  return weight == 0 ? 0 : static_cast<double>(sessions) / static_cast<double>(weight);
}

}  // namespace

std::vector<std::uint64_t> excess(std::span<const Share> shares, std::uint32_t threshold) {
  std::vector<char> counted(shares.size());
  for (std::size_t n = 0; n < shares.size(); ++n) counted[n] = shares[n].weight != 0;
  double even = mean(shares, counted);
  // Taking out a full one raises the mean of the others, which may fill another one: at most once each.
  for (bool found = true; found;) {
    found = false;
    for (std::size_t n = 0; n < shares.size(); ++n) {
      const Share& share = shares[n];
      const bool small = counted[n] != 0 && share.max_sessions != 0 &&
                         static_cast<double>(share.max_sessions) < even * share.weight;
      if (!small || share.sessions < share.max_sessions) continue;
      counted[n] = 0;
      found = true;
    }
    if (found) even = mean(shares, counted);
  }
  std::vector<std::uint64_t> above(shares.size());
  const bool somebody_takes =
      std::ranges::any_of(shares, [](const Share& share) { return share.weight != 0; });
  for (std::size_t n = 0; n < shares.size(); ++n) {
    if (shares[n].goes_home && somebody_takes) above[n] = shares[n].sessions;
    if (counted[n] == 0) continue;
    const double fair = even * shares[n].weight;
    const double most = std::max(std::ceil(fair), std::floor(fair * (100.0 + threshold) / 100));
    const auto allowed = static_cast<std::uint64_t>(most);
    if (shares[n].sessions > allowed) above[n] = shares[n].sessions - allowed;
  }
  return above;
}

std::vector<std::uint64_t> divide(std::uint64_t total, std::size_t parts, std::size_t first) {
  std::vector<std::uint64_t> out(parts, total / parts);
  for (std::size_t n = 0; n < total % parts; ++n) ++out[(first + n) % parts];
  return out;
}

}  // namespace holdfast::server
