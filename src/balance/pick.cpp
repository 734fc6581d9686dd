#include "holdfast/balance/pick.hpp"

#include <algorithm>
#include <utility>

#include "balance/round.hpp"

namespace holdfast::balance {
namespace {

double unit(std::uint64_t bits) {
  return static_cast<double>(bits >> 11U) * 0x1p-53;
}

}  // namespace

Picker::Picker(const Rules& rules, std::vector<Member> members)
    : rules_(rules),
      members_(std::move(members)),
      ring_(rules.policy == Policy::hash ? Ring(members_) : Ring()),
      owed_(rules.policy == Policy::round_robin ? members_.size() : 0),
      credit_(members_.size()) {}

void Picker::arrange(const Field& field) {
  for (Tier& tier : tiers_) tier = Tier();
  std::array<std::uint64_t, 2> own_weight{};  // by rank, eligible or not
  for (std::size_t n = 0; n < members_.size(); ++n) {
    const View view = field.look(n);
    const auto rank = static_cast<std::size_t>(members_[n].rank);
    if (members_[n].zone == Zone::own) own_weight[rank] += view.weight;
    if (!view.eligible || view.weight == 0) continue;
    Group& group = members_[n].zone == Zone::own ? tiers_[rank].own : tiers_[rank].other;
    group.members.push_back(static_cast<std::uint32_t>(n));
    group.sums.push_back((group.sums.empty() ? 0 : group.sums.back()) + view.weight);
  }
  for (std::size_t rank = 0; rank < tiers_.size(); ++rank) {
    Tier& tier = tiers_[rank];
    const std::uint64_t eligible = tier.own.sums.empty() ? 0 : tier.own.sums.back();
    const std::uint64_t wanted = own_weight[rank] * rules_.zone_min_percent;
    if (eligible * 100 < wanted)
      tier.own_share = static_cast<double>(eligible * 100) / static_cast<double>(wanted);
  }
}

// That all of them are full is not meant: a session that waits for a primary is better off than with a
// backup.
bool Picker::thrown_back(Rank rank, const Wish& wish) const noexcept {
  const Tier& these = tier(rank);
  if (wish.purpose == Purpose::even_out || wish.exclude.size() < these.size()) return false;
  const auto excluded = [&](std::uint32_t member) {
    return std::ranges::find(wish.exclude, member) != wish.exclude.end();
  };
  return std::ranges::all_of(these.own.members, excluded) &&
         std::ranges::all_of(these.other.members, excluded);
}

std::optional<std::size_t> Picker::pick(const Field& field, const Wish& wish, Rng& rng) {
  Round round{field, wish, rng};
  for (const Rank rank : {Rank::primary, Rank::backup}) {
    Tier& these = tiers_[static_cast<std::size_t>(rank)];
    if (these.size() == 0) continue;
    if (const auto found = pick_in(these, round)) return found;
    if (!thrown_back(rank, wish)) break;
  }
  return std::nullopt;
}

std::optional<std::size_t> Picker::pick_in(Tier& tier, Round& round) {
  bool own_first = true;
  if (tier.own_share < 1 && tier.other.members.size() != 0) {
    // A key that has left the zone does so each time.
    own_first = unit(round.wish.key ? mixed(~*round.wish.key) : round.rng()) < tier.own_share;
  }
  Group& first = own_first ? tier.own : tier.other;
  Group& second = own_first ? tier.other : tier.own;
  if (const auto found = pick_from(first, round)) return found;
  return pick_from(second, round);
}

std::optional<std::size_t> Picker::pick_from(Group& group, Round& round) {
  if (group.members.empty()) return std::nullopt;
  switch (rules_.policy) {
    case Policy::least_connections:
      return pick_least(group, round);
    case Policy::round_robin:
      return pick_turn(group, round);
    case Policy::two_choices:
      return pick_two(group, round);
    case Policy::random:
      return pick_random(group, round);
    case Policy::hash:
      return round.wish.key ? pick_by_key(group, round, *round.wish.key) : pick_least(group, round);
  }
  return std::nullopt;
}

bool Picker::has_place(const Field& field, const Wish& wish) const {
  Rng unused;
  const Round round{field, wish, unused};
  const auto open = [&](std::uint32_t member) { return round.may_get(member, field.look(member)); };
  for (const Rank rank : {Rank::primary, Rank::backup}) {
    const Tier& these = tier(rank);
    if (these.size() == 0) continue;
    if (std::ranges::any_of(these.own.members, open) || std::ranges::any_of(these.other.members, open))
      return true;
    if (!thrown_back(rank, wish)) break;
  }
  return false;
}

bool Picker::takes_part(std::size_t member) const noexcept {
  const Tier& primaries = tier(Rank::primary);
  const Tier& present = primaries.size() != 0 ? primaries : tier(Rank::backup);
  if (members_[member].rank != (&present == &primaries ? Rank::primary : Rank::backup)) return false;
  const bool own_takes_all = present.own_share >= 1 && !present.own.members.empty();
  return members_[member].zone == Zone::own || !own_takes_all;
}

}  // namespace holdfast::balance
