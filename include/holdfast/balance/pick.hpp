// Which backend gets the next session. Pure: everything it knows comes in as an argument, so one
// seed gives one sequence of picks. Not thread-safe: the caller guards it.
//
//  - least_connections: fewest sessions per weight; ties are broken at random, each with the same
//    chance, so that many proxies that start together do not all begin with the first backend. One that is
//    being eased in (View::ramp) gets no more than its share of the picks, however few sessions it has.
//  - round_robin: each gets its weight's share, spread evenly over the turn instead of in bursts.
//  - two_choices: two at random by weight, of them the one with fewer sessions per weight. Many proxies that
//    each know only their own sessions do not run to the same backend.
//  - random: by weight.
//  - hash: the key's place on a ring (ring.hpp). Who has more than hash_balance_factor percent of the mean
//    load is passed over. Sessions without a key go by least_connections.
//
// Who may get one at all: eligible, not full, with weight, not excluded. Among those primaries come before
// backups, and the own zone before others:
//  - Backups get sessions when no primary is eligible; that primaries are full is no reason. For a session
//    that was thrown back by all of them (`exclude`) none is eligible, unless it is only moved to even out.
//  - The own zone gets all as long as zone_min_percent of its weight is eligible; below that it gets so many
//    fewer, and the others the rest. Who finds its zone full goes to another.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "holdfast/balance/ring.hpp"
#include "holdfast/balance/view.hpp"

namespace holdfast::balance {

struct Rules {
  Policy policy = Policy::least_connections;
  std::uint32_t hash_balance_factor = 125;  // percent of the mean that one may have; 0 = no bound
  std::uint32_t zone_min_percent = 70;
};

// Why a session is placed. even_out: it has a place, and others are emptier; backups are none of its
// business, and who is being eased in may have all that it lacks.
enum class Purpose : std::uint8_t { needs_place, even_out };

struct Wish {
  std::optional<std::uint64_t> key{};      // for the hash policy
  std::span<const std::size_t> exclude{};  // members that are not to be picked; few
  Purpose purpose = Purpose::needs_place;
};

class Picker {
 public:
  Picker(const Rules& rules, std::vector<Member> members);

  // Sorts out who is eligible; to be called before the first pick and whenever that or a weight has
  // changed. Costs one look at each member.
  void arrange(const Field& field);

  // nullopt: nobody may get it. least_connections and round_robin look at every eligible member, as hash does
  // in groups of up to `looked_at_whole`; the others at a few.
  [[nodiscard]] std::optional<std::size_t> pick(const Field& field, const Wish& wish, Rng& rng);

  // Whether a pick would find somebody.
  [[nodiscard]] bool has_place(const Field& field, const Wish& wish) const;
  // Whether sessions are meant to be there now: not with a backup while a primary is eligible, and not in
  // another zone as long as the own one takes all.
  [[nodiscard]] bool takes_part(std::size_t member) const noexcept;

  static constexpr std::size_t looked_at_whole = 256;

 private:
  // Eligible members of one rank and zone.
  struct Group {
    std::vector<std::uint32_t> members;
    std::vector<std::uint64_t> sums;  // of weights, up to and with each member
    // Of a hash policy's groups that are too large to be looked at for each pick: sessions and weight as of
    // a moment ago.
    std::uint64_t load = 0;
    std::uint64_t weight = 0;
    std::uint32_t good_for = 0;  // picks
  };
  struct Tier {
    Group own;
    Group other;
    double own_share = 1;  // of the picks
    [[nodiscard]] std::size_t size() const noexcept { return own.members.size() + other.members.size(); }
  };
  struct Round;  // what one pick knows

  [[nodiscard]] const Tier& tier(Rank rank) const noexcept { return tiers_[static_cast<std::size_t>(rank)]; }
  [[nodiscard]] bool thrown_back(Rank rank, const Wish& wish) const noexcept;
  [[nodiscard]] std::optional<std::size_t> pick_in(Tier& tier, Round& round);
  [[nodiscard]] std::optional<std::size_t> pick_from(Group& group, Round& round);
  [[nodiscard]] std::optional<std::size_t> pick_least(const Group& group, Round& round);
  [[nodiscard]] std::optional<std::size_t> pick_eased_in(std::optional<std::size_t> best, std::uint64_t total,
                                                         Round& round);
  [[nodiscard]] std::optional<std::size_t> pick_turn(const Group& group, Round& round);
  [[nodiscard]] std::optional<std::size_t> pick_two(const Group& group, Round& round);
  [[nodiscard]] std::optional<std::size_t> pick_random(const Group& group, Round& round);
  [[nodiscard]] std::optional<std::size_t> pick_by_key(Group& group, Round& round, std::uint64_t key);
  [[nodiscard]] std::optional<std::size_t> draw(const Group& group, Round& round,
                                                std::optional<std::size_t> avoid);
  void weigh(Group& group, const Round& round) const;

  Rules rules_;
  std::vector<Member> members_;
  Ring ring_;                          // of a hash policy only
  std::array<Tier, 2> tiers_;          // by Rank
  std::vector<std::int64_t> owed_;     // round robin: what each is owed, in hundredths of weight
  std::vector<std::uint64_t> credit_;  // least connections: of those that are eased in
  std::vector<std::size_t> eased_in_;  // scratch
};

}  // namespace holdfast::balance
