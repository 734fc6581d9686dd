// A named set of backends with one policy: the part of a snapshot that picks. Membership never
// changes; a reload makes a new Upstream over the same Backends (see registry.hpp).
//
// Threads: every function may be called in every thread. Picks are serialised by a mutex (DECISIONS.md has
// what they cost) and counted at once, so two setup threads never act on the same minimum.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "holdfast/balance/pick.hpp"
#include "holdfast/base/cause.hpp"
#include "holdfast/upstream/backend.hpp"
#include "holdfast/upstream/balancing.hpp"
#include "holdfast/upstream/outlier.hpp"

namespace holdfast::upstream {

class Upstream {
 public:
  // `seed` makes ties repeatable in tests; give a random one else. `state`: the registry's; null = the
  // members', or a new one.
  Upstream(std::string name, Balancing balancing, OutlierRules rules,
           std::vector<std::shared_ptr<Backend>> members, std::uint64_t seed,
           std::shared_ptr<UpstreamState> state = nullptr);

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] balance::Policy policy() const noexcept { return balancing_.rules.policy; }
  [[nodiscard]] std::span<const std::shared_ptr<Backend>> backends() const noexcept { return members_; }
  // What its backends share.
  [[nodiscard]] UpstreamState& state() const noexcept { return *state_; }
  [[nodiscard]] const Outlier& outlier() const noexcept { return outlier_; }
  // Some backend is eligible (it may be full): what /readyz asks.
  [[nodiscard]] bool has_eligible() const noexcept;

  // Of those with a weight that the operator has left active; of backups only where no primary is eligible
  // but a backup is, and of primaries only where one is.
  struct Census {
    std::size_t active = 0;
    std::size_t eligible = 0;
  };
  [[nodiscard]] Census census() const noexcept;
  // Too few of them are eligible (OutlierRules::panic_percent): neither probes nor ejections are believed,
  // and new clients and lost sessions get any active one. Planned moves are still made to eligible ones only:
  // a leg that works is not given up for one that perhaps does not.
  [[nodiscard]] bool panics() const noexcept { return panics(census()); }
  [[nodiscard]] bool panics(Census census) const noexcept;

  // Some backend would be picked now for a planned move.
  [[nodiscard]] bool has_place(const Wish& wish) const;

  // Picks and counts. nullopt: nobody is eligible with room, the excluded ones (tried already) aside.
  [[nodiscard]] std::optional<Seat> pick(const Wish& wish) const;
  [[nodiscard]] std::optional<Seat> pick(std::span<const Backend* const> exclude = {}) const {
    return pick(Wish{exclude, std::nullopt});
  }
  // A seat of this member, passing the policy by; nullopt if it gets no sessions now.
  [[nodiscard]] std::optional<Seat> take(std::size_t member) const noexcept;
  // The share of its weight that counts now, in percent: 100, or less during its slow start.
  [[nodiscard]] std::uint8_t ramp(const Backend& backend, TimePoint now) const noexcept;
  // For each member whether sessions are meant to be there now (balance::Picker::takes_part).
  [[nodiscard]] std::vector<char> taking_part() const;

  // As above for a reroute's dial: of a lost session, or of a planned move for `cause`; in a panic nobody is
  // moved off a backend for its health. Who is picked but has its most_connecting under way is waited for, so
  // that nobody gets more than its share because another one is slower; it is passed over only if no dial to
  // it ends. With neither seat nor dialling, `busy` tells whether somebody will be there once a dial has
  // ended.
  enum class Busy : std::uint8_t { no, yes };
  struct Place {
    std::optional<Seat> seat;
    std::optional<Dialling> dialling;
    Busy busy = Busy::no;
  };
  [[nodiscard]] Place pick_for_reroute(const Wish& wish, TimePoint now, Cause cause = Cause::lost) const;

  // The outcome of a dial. `failed` counts it, keeps `what` as the last error and may eject.
  Change failed(Backend& backend, FailureKind kind, std::string what, TimePoint now) const;
  void succeeded(Seat& seat, Outlier::Answer answer = Outlier::Answer::session) const {
    outlier_.succeeded(seat, answer);
  }

 private:
  // What a pick looks at; with `active` whatever probes and ejections say.
  enum class Among : std::uint8_t { eligible, active };

  // The picker, its scratch and memory; the mutex guards all of it, as every function here wants.
  struct Picking final : balance::Field {
    Picking(const Upstream& of, std::vector<balance::Member> members)
        : upstream(of), picker(of.balancing_.rules, std::move(members)) {}
    [[nodiscard]] balance::View look(std::size_t member) const override;
    [[nodiscard]] balance::Wish prepare(const Wish& wish, TimePoint now, Among in_panic);
    [[nodiscard]] std::optional<std::size_t> choose(const balance::Wish& wish) {
      return picker.pick(*this, wish, rng);
    }

    const Upstream& upstream;
    std::mutex mutex;
    balance::Rng rng;
    balance::Picker picker;
    std::unordered_map<const Backend*, std::size_t> indexes;
    std::vector<std::size_t> excluded;
    std::vector<std::size_t> full;              // found out by this pick
    std::optional<std::uint64_t> arranged_for;  // UpstreamState::changes
    Among among = Among::eligible;              // that it is arranged for
    bool panic = false;                         // as of arranged_for
    TimePoint now;
  };
  const std::string name_;
  const Balancing balancing_;
  const std::vector<std::shared_ptr<Backend>> members_;
  const std::shared_ptr<UpstreamState> state_;
  const Outlier outlier_;
  const bool share_a_state_;  // false in tests only: then nobody tells when something changes
  mutable Picking picking_;
};

}  // namespace holdfast::upstream
