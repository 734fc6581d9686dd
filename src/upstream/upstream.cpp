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

std::optional<Seat> Upstream::pick(std::span<const Backend* const> exclude) const {
  const std::lock_guard lock(picking_.mutex);
  picking_.views.clear();
  picking_.excluded.clear();
  for (std::size_t i = 0; i < members_.size(); ++i) {
    const Backend& member = *members_[i];
    picking_.views.push_back({member.sessions(), member.weight(), member.eligible(), member.full()});
    if (std::find(exclude.begin(), exclude.end(), &member) != exclude.end()) picking_.excluded.push_back(i);
  }
  while (true) {
    const auto index =
        balance::pick(policy_, picking_.views, picking_.excluded, picking_.rng, picking_.turns);
    if (!index) return std::nullopt;
    if (auto seat = Seat::take(members_[*index])) return seat;
    // Another snapshot's pick took the last seat in between: on with the others.
    picking_.views[*index].full = true;
  }
}

Upstream::Place Upstream::pick_for_reroute(std::span<const Backend* const> exclude) const {
  Place place;
  std::vector<const Backend*> passed_over(exclude.begin(), exclude.end());
  for (const auto& member : members_) {
    const bool crowded = member->dialling() >= UpstreamState::most_connecting;
    if (!crowded || std::ranges::find(exclude, member.get()) != exclude.end()) continue;
    passed_over.push_back(member.get());
    if (member->eligible() && !member->full() && member->weight() != 0) place.busy = Busy::yes;
  }
  while ((place.seat = pick(passed_over))) {
    place.dialling = try_dialling(place.seat->shared_backend());
    if (place.dialling) return place;
    // Another thread took the last place in between.
    place.busy = Busy::yes;
    passed_over.push_back(&place.seat->backend());
    place.seat.reset();
  }
  return place;
}

Change Upstream::failed(Backend& backend, FailureKind kind, std::string what, TimePoint now) const {
  backend.count_failure(kind, std::move(what));
  return outlier_.failed(backend, kind, now);
}

}  // namespace holdfast::upstream
