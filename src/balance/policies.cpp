// The policies within one group of eligible members.

#include <algorithm>

#include "balance/round.hpp"
#include "holdfast/balance/pick.hpp"

namespace holdfast::balance {
namespace {

// Draws that meet nobody who may get it before everybody is looked at instead.
constexpr int most_draws = 16;
// What is allowed must not be one more because of the rounding of fractions.
constexpr double almost_one = 1 - 1e-9;

std::uint64_t below(std::uint64_t limit, Rng& rng) {
  return std::uniform_int_distribution<std::uint64_t>(0, limit - 1)(rng);
}

}  // namespace

std::optional<std::size_t> Picker::pick_least(const Group& group, Round& round) {
  std::optional<std::size_t> best;
  View best_view;
  std::uint64_t tied = 0;
  std::uint64_t total = 0;
  eased_in_.clear();
  for (const std::uint32_t member : group.members) {
    const View view = round.field.look(member);
    if (!round.may_get(member, view)) continue;
    total += weight_of(view);
    if (view.ramp < 100 && round.wish.purpose != Purpose::even_out) {
      eased_in_.push_back(member);
    } else if (!best || less_loaded(view, best_view)) {
      best = member;
      best_view = view;
      tied = 1;
    } else if (!less_loaded(best_view, view)) {
      // The k-th of a tie takes the place with chance 1/k, which gives each the same in the end.
      if (below(++tied, round.rng) == 0) best = member;
    }
  }
  return eased_in_.empty() ? best : pick_eased_in(best, total, round);
}

// With no sessions yet it would be the least loaded of all for as long as it takes to catch up: it may only
// have what its share of the picks earns it, which is not saved beyond one pick.
std::optional<std::size_t> Picker::pick_eased_in(std::optional<std::size_t> best, std::uint64_t total,
                                                 Round& round) {
  const bool alone = !best;
  View best_view = best ? round.field.look(*best) : View{};
  for (const std::size_t member : eased_in_) {
    const View view = round.field.look(member);
    credit_[member] = std::min(credit_[member] + weight_of(view), total);
    if (credit_[member] < total && !alone) continue;
    if (best && !less_loaded(view, best_view)) continue;
    best = member;
    best_view = view;
  }
  if (best && best_view.ramp < 100) credit_[*best] = 0;
  return best;
}

// Everybody earns their weight, the one who is owed most is served and pays what all have earned; so
// the sum of what is owed stays the same. Who is out of the game neither earns nor loses.
std::optional<std::size_t> Picker::pick_turn(const Group& group, Round& round) {
  std::optional<std::size_t> best;
  std::int64_t earned = 0;
  for (const std::uint32_t member : group.members) {
    const View view = round.field.look(member);
    if (!round.may_get(member, view)) continue;
    const auto weight = static_cast<std::int64_t>(weight_of(view));
    owed_[member] += weight;
    earned += weight;
    if (!best || owed_[member] > owed_[*best]) best = member;
  }
  if (best) owed_[*best] -= earned;
  return best;
}

// Somebody by weight who may get it; a weight that counts for half is drawn as often and refused half the
// time.
std::optional<std::size_t> Picker::draw(const Group& group, Round& round, std::optional<std::size_t> avoid) {
  for (int n = 0; n < most_draws; ++n) {
    const auto sum = std::ranges::upper_bound(group.sums, below(group.sums.back(), round.rng));
    const std::size_t member = group.members[static_cast<std::size_t>(sum - group.sums.begin())];
    if (member == avoid) continue;
    const View view = round.field.look(member);
    if (!round.may_get(member, view)) continue;
    if (view.ramp < 100 && below(100, round.rng) >= view.ramp) continue;
    return member;
  }
  return std::nullopt;
}

std::optional<std::size_t> Picker::pick_two(const Group& group, Round& round) {
  const auto first = draw(group, round, std::nullopt);
  if (!first) return pick_least(group, round);
  const auto second = group.members.size() == 1 ? std::nullopt : draw(group, round, first);
  if (!second) return first;
  return less_loaded(round.field.look(*second), round.field.look(*first)) ? second : first;
}

std::optional<std::size_t> Picker::pick_random(const Group& group, Round& round) {
  if (const auto drawn = draw(group, round, std::nullopt)) return drawn;
  std::optional<std::size_t> chosen;
  std::uint64_t total = 0;
  for (const std::uint32_t member : group.members) {
    const View view = round.field.look(member);
    if (!round.may_get(member, view)) continue;
    total += weight_of(view);
    if (below(total, round.rng) < weight_of(view)) chosen = member;
  }
  return chosen;
}

// Sessions and weight of those who may get one: what the mean is taken of.
void Picker::weigh(Group& group, const Round& round) const {
  const bool large = group.members.size() > looked_at_whole;
  if (large && group.good_for > 0) {
    --group.good_for;
    ++group.load;  // the pick before
    return;
  }
  group.load = 0;
  group.weight = 0;
  for (const std::uint32_t member : group.members) {
    const View view = round.field.look(member);
    if (!round.may_get(member, view)) continue;
    group.load += view.sessions;
    group.weight += weight_of(view);
  }
  if (large) group.good_for = static_cast<std::uint32_t>(group.members.size() / looked_at_whole);
}

// As long as each may have its share of (1 + epsilon) times all sessions, this one included, not all can be
// above theirs: somebody on the ring takes it.
std::optional<std::size_t> Picker::pick_by_key(Group& group, Round& round, std::uint64_t key) {
  if (rules_.hash_balance_factor != 0) weigh(group, round);
  const Zone zone = members_[group.members.front()].zone;
  const Rank rank_of_group = members_[group.members.front()].rank;
  const double allowed = rules_.hash_balance_factor == 0 || group.weight == 0
                             ? 0
                             : static_cast<double>(rules_.hash_balance_factor) / 100 *
                                   static_cast<double>(group.load + 1) / static_cast<double>(group.weight);
  const auto found = ring_.find(key, [&](std::size_t member, std::uint32_t rank) {
    if (members_[member].zone != zone || members_[member].rank != rank_of_group) return false;
    const View view = round.field.look(member);
    if (!round.may_get(member, view) || !ring_.active(member, rank, view.ramp)) return false;
    if (allowed == 0) return true;
    // Rounded up: else no one of many could have the first session.
    return static_cast<double>(view.sessions) < allowed * almost_one * static_cast<double>(weight_of(view));
  });
  return found ? found : pick_least(group, round);
}

}  // namespace holdfast::balance
