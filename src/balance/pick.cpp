#include "holdfast/balance/pick.hpp"

#include <algorithm>

namespace holdfast::balance {
namespace {

bool may_get(std::span<const View> views, std::span<const std::size_t> exclude, std::size_t index) {
  const View& view = views[index];
  if (!view.eligible || view.full || view.weight == 0) return false;
  return std::find(exclude.begin(), exclude.end(), index) == exclude.end();
}

// Sessions per weight, compared by cross multiplication: exact, and 32 bits times 32 bits fit.
bool less_loaded(const View& a, const View& b) {
  return std::uint64_t{a.sessions} * b.weight < std::uint64_t{b.sessions} * a.weight;
}

std::optional<std::size_t> pick_least(std::span<const View> views, std::span<const std::size_t> exclude,
                                      Rng& rng) {
  std::optional<std::size_t> best;
  std::uint64_t tied = 0;
  for (std::size_t i = 0; i < views.size(); ++i) {
    if (!may_get(views, exclude, i)) continue;
    if (!best || less_loaded(views[i], views[*best])) {
      best = i;
      tied = 1;
    } else if (!less_loaded(views[*best], views[i])) {
      // The k-th of a tie takes the place with chance 1/k, which gives each the same in the end.
      ++tied;
      if (std::uniform_int_distribution<std::uint64_t>(0, tied - 1)(rng) == 0) best = i;
    }
  }
  return best;
}

// Everybody earns their weight, the one who is owed most is served and pays what all have earned; so
// the sum of what is owed stays the same. Who is out of the game neither earns nor loses.
std::optional<std::size_t> pick_turn(std::span<const View> views, std::span<const std::size_t> exclude,
                                     RoundRobin& turns) {
  if (turns.owed.size() != views.size()) turns.owed.assign(views.size(), 0);
  std::optional<std::size_t> best;
  std::int64_t earned = 0;
  for (std::size_t i = 0; i < views.size(); ++i) {
    if (!may_get(views, exclude, i)) continue;
    turns.owed[i] += views[i].weight;
    earned += views[i].weight;
    if (!best || turns.owed[i] > turns.owed[*best]) best = i;
  }
  if (best) turns.owed[*best] -= earned;
  return best;
}

}  // namespace

std::optional<std::size_t> pick(Policy policy, std::span<const View> views,
                                std::span<const std::size_t> exclude, Rng& rng, RoundRobin& turns) {
  switch (policy) {
    case Policy::least_connections:
      return pick_least(views, exclude, rng);
    case Policy::round_robin:
      return pick_turn(views, exclude, turns);
  }
  return std::nullopt;
}

}  // namespace holdfast::balance
