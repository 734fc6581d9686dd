// A named set of backends with one policy: the part of a snapshot that picks. Membership never
// changes; a reload makes a new Upstream over the same Backends (see registry.hpp).
//
// Threads: every function may be called in every thread. Picks are serialised by a mutex (under a
// microsecond for a hundred backends) and counted at once, so two setup threads never act on the same
// minimum.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "holdfast/balance/pick.hpp"
#include "holdfast/base/cause.hpp"
#include "holdfast/upstream/backend.hpp"
#include "holdfast/upstream/outlier.hpp"

namespace holdfast::upstream {

class Upstream {
 public:
  // `seed` makes ties repeatable in tests; give a random one else.
  Upstream(std::string name, balance::Policy policy, OutlierRules rules,
           std::vector<std::shared_ptr<Backend>> members, std::uint64_t seed);

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] balance::Policy policy() const noexcept { return policy_; }
  [[nodiscard]] std::span<const std::shared_ptr<Backend>> backends() const noexcept { return members_; }
  // What its backends share.
  [[nodiscard]] UpstreamState& state() const noexcept { return *state_; }
  [[nodiscard]] const Outlier& outlier() const noexcept { return outlier_; }
  // Some backend is eligible (it may be full): what /readyz asks.
  [[nodiscard]] bool has_eligible() const noexcept;

  // Of those with a weight that the operator has left active.
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

  // Some backend that is not in `exclude` would be picked for a planned move.
  [[nodiscard]] bool has_place(std::span<const Backend* const> exclude) const noexcept;

  // Picks and counts. nullopt: nobody is eligible with room, `exclude` (already tried ones) aside.
  [[nodiscard]] std::optional<Seat> pick(std::span<const Backend* const> exclude = {}) const;

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
  [[nodiscard]] Place pick_for_reroute(std::span<const Backend* const> exclude, TimePoint now,
                                       Cause cause = Cause::lost) const;

  // The outcome of a dial. `failed` counts it, keeps `what` as the last error and may eject.
  Change failed(Backend& backend, FailureKind kind, std::string what, TimePoint now) const;
  void succeeded(Seat& seat, Outlier::Answer answer = Outlier::Answer::session) const {
    outlier_.succeeded(seat, answer);
  }

 private:
  // With the mutex of picking_.
  enum class Among : std::uint8_t { eligible, active };
  void prepare(std::span<const Backend* const> exclude, Among among) const;
  [[nodiscard]] std::optional<std::size_t> choose() const;

  // Scratch and memory of picks; its mutex guards all of it.
  struct Picking {
    std::mutex mutex;
    balance::Rng rng;
    balance::RoundRobin turns;
    std::vector<balance::View> views;
    std::vector<std::size_t> excluded;
  };

  const std::string name_;
  const balance::Policy policy_;
  const std::vector<std::shared_ptr<Backend>> members_;
  const std::shared_ptr<UpstreamState> state_;
  const Outlier outlier_;
  mutable Picking picking_;
};

}  // namespace holdfast::upstream
