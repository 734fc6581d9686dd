#include "holdfast/upstream/upstream.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::upstream {

Upstream::Upstream(std::string name, balance::Policy policy, OutlierRules rules,
                   std::vector<std::shared_ptr<Backend>> members, std::uint64_t seed)
    : name_(std::move(name)),
      policy_(policy),
      members_(std::move(members)),
      state_(members_.empty() ? std::make_shared<UpstreamState>(name_) : members_.front()->upstream_state()),
      outlier_(rules, members_) {
  picking_.rng.seed(seed);
}

bool Upstream::has_eligible() const noexcept {
  return std::any_of(members_.begin(), members_.end(),
                     [](const auto& member) { return member->eligible() && member->weight() != 0; });
}

bool Upstream::has_place(std::span<const Backend* const> exclude) const noexcept {
  return std::any_of(members_.begin(), members_.end(), [&](const auto& member) {
    const bool open = member->eligible() && member->weight() != 0 && !member->full();
    return open && std::find(exclude.begin(), exclude.end(), member.get()) == exclude.end();
  });
}

Upstream::Census Upstream::census() const noexcept {
  Census census;
  for (const auto& member : members_) {
    if (member->admin_state() != AdminState::active || member->weight() == 0) continue;
    ++census.active;
    if (member->eligible()) ++census.eligible;
  }
  return census;
}

bool Upstream::panics(Census census) const noexcept {
  return census.eligible * 100 < census.active * outlier_.rules().panic_percent;
}

void Upstream::prepare(std::span<const Backend* const> exclude, Among among) const {
  picking_.views.clear();
  picking_.excluded.clear();
  for (std::size_t i = 0; i < members_.size(); ++i) {
    const Backend& member = *members_[i];
    const bool may_get =
        among == Among::active ? member.admin_state() == AdminState::active : member.eligible();
    picking_.views.push_back({member.sessions(), member.weight(), may_get, member.full()});
    if (std::find(exclude.begin(), exclude.end(), &member) != exclude.end()) picking_.excluded.push_back(i);
  }
}

std::optional<std::size_t> Upstream::choose() const {
  return balance::pick(policy_, picking_.views, picking_.excluded, picking_.rng, picking_.turns);
}

std::optional<Seat> Upstream::pick(std::span<const Backend* const> exclude) const {
  const std::lock_guard lock(picking_.mutex);
  prepare(exclude, panics() ? Among::active : Among::eligible);
  while (const auto index = choose()) {
    if (auto seat = Seat::take(members_[*index])) return seat;
    // Another snapshot's pick took the last seat in between: on with the others.
    picking_.views[*index].full = true;
  }
  return std::nullopt;
}

Upstream::Place Upstream::pick_for_reroute(std::span<const Backend* const> exclude, TimePoint now,
                                           Cause cause) const {
  const bool panic = panics();
  const bool is_lost = cause == Cause::lost || cause == Cause::closing;
  Place place;
  if (panic && cause == Cause::unhealthy) return place;
  const std::lock_guard lock(picking_.mutex);
  prepare(exclude, panic && is_lost ? Among::active : Among::eligible);
  while (const auto index = choose()) {
    const auto& member = members_[*index];
    if (auto dialling = try_dialling(member, now)) {
      place.seat = Seat::take(member);
      if (!place.seat) {
        picking_.views[*index].full = true;
        continue;
      }
      place.dialling = std::move(dialling);
      return place;
    }
    place.busy = Busy::yes;
    if (!member->dials_are_stuck(now)) break;
    picking_.excluded.push_back(*index);
  }
  return place;
}

Change Upstream::failed(Backend& backend, FailureKind kind, std::string what, TimePoint now) const {
  backend.count_failure(kind, std::move(what));
  return outlier_.failed(backend, kind, now);
}

}  // namespace holdfast::upstream
