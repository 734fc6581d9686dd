#include "holdfast/upstream/upstream.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "holdfast/balance/ramp.hpp"

namespace holdfast::upstream {

namespace {

std::vector<balance::Member> describe(const std::vector<std::shared_ptr<Backend>>& members,
                                      const std::vector<Traits>& traits) {
  std::vector<balance::Member> described;
  described.reserve(members.size());
  for (std::size_t n = 0; n < members.size(); ++n) {
    const Traits known = traits.empty() ? Traits{} : traits[n];
    described.push_back({balance::hash_of(members[n]->address()), known.weight, known.rank, known.zone});
  }
  return described;
}

}  // namespace

Upstream::Upstream(std::string name, Balancing balancing, OutlierRules rules,
                   std::vector<std::shared_ptr<Backend>> members, std::uint64_t seed,
                   std::shared_ptr<UpstreamState> state)
    : name_(std::move(name)),
      balancing_(std::move(balancing)),
      members_(std::move(members)),
      state_(state != nullptr   ? std::move(state)
             : members_.empty() ? std::make_shared<UpstreamState>(name_)
                                : members_.front()->upstream_state()),
      outlier_(rules, members_),
      share_a_state_(std::ranges::all_of(
          members_, [&](const auto& member) { return member->upstream_state() == state_; })),
      picking_(*this, describe(members_, balancing_.traits)) {
  picking_.rng.seed(seed);
  for (std::size_t n = 0; n < members_.size(); ++n) picking_.indexes.emplace(members_[n].get(), n);
}

bool Upstream::has_eligible() const noexcept {
  return std::any_of(members_.begin(), members_.end(),
                     [](const auto& member) { return member->eligible() && member->weight() != 0; });
}

Upstream::Census Upstream::census() const noexcept {
  std::array<Census, 2> by_rank;
  for (std::size_t n = 0; n < members_.size(); ++n) {
    const Backend& member = *members_[n];
    if (member.admin_state() != AdminState::active || member.weight() == 0) continue;
    const auto rank = balancing_.traits.empty() ? balance::Rank::primary : balancing_.traits[n].rank;
    Census& census = by_rank[static_cast<std::size_t>(rank)];
    ++census.active;
    if (member.eligible()) ++census.eligible;
  }
  const auto [primaries, backups] = by_rank;
  if (primaries.eligible != 0) return primaries;
  if (backups.eligible != 0) return backups;
  return {primaries.active + backups.active, 0};
}

bool Upstream::panics(Census census) const noexcept {
  return census.eligible * 100 < census.active * outlier_.rules().panic_percent;
}

std::uint8_t Upstream::ramp(const Backend& backend, TimePoint now) const noexcept {
  if (balancing_.slow_start == Milliseconds(0)) return 100;
  const TimePoint came_at = backend.came_at();
  return came_at == TimePoint{} ? 100 : balance::ramp_percent(now - came_at, balancing_.slow_start);
}

balance::View Upstream::Picking::look(std::size_t member) const {
  const Backend& backend = *upstream.members_[member];
  const bool full_now = backend.full() || std::ranges::find(full, member) != full.end();
  const bool may_get =
      among == Among::active ? backend.admin_state() == AdminState::active : backend.eligible();
  return {backend.sessions(), backend.weight(), may_get, full_now, upstream.ramp(backend, now)};
}

// Who is eligible is sorted out again only when something has changed: a large set is not looked at as a
// whole.
balance::Wish Upstream::Picking::prepare(const Wish& wish, TimePoint at, Among in_panic) {
  now = at;
  full.clear();
  const std::uint64_t changes = upstream.state_->changes();
  const bool is_new = arranged_for != changes || !upstream.share_a_state_;
  if (is_new) panic = upstream.panics();
  const Among wanted = panic ? in_panic : Among::eligible;
  if (is_new || among != wanted) {
    among = wanted;
    picker.arrange(*this);
    arranged_for = changes;
  }
  excluded.clear();
  for (const Backend* each : wish.exclude) {
    const auto found = indexes.find(each);
    if (found != indexes.end()) excluded.push_back(found->second);
  }
  return {wish.key, excluded, wish.purpose};
}

bool Upstream::has_place(const Wish& wish) const {
  const std::lock_guard lock(picking_.mutex);
  const balance::Wish prepared = picking_.prepare(wish, Clock::now(), Among::eligible);
  return picking_.picker.has_place(picking_, prepared);
}

std::vector<char> Upstream::taking_part() const {
  const std::lock_guard lock(picking_.mutex);
  (void)picking_.prepare({}, Clock::now(), Among::eligible);
  std::vector<char> parts;
  for (std::size_t n = 0; n < members_.size(); ++n) parts.push_back(picking_.picker.takes_part(n) ? 1 : 0);
  return parts;
}

std::optional<Seat> Upstream::take(std::size_t member) const noexcept {
  const auto& backend = members_[member];
  if (!backend->eligible() || backend->weight() == 0) return std::nullopt;
  return Seat::take(backend);
}

std::optional<Seat> Upstream::pick(const Wish& wish) const {
  const std::lock_guard lock(picking_.mutex);
  const balance::Wish prepared = picking_.prepare(wish, Clock::now(), Among::active);
  while (const auto index = picking_.choose(prepared)) {
    if (auto seat = Seat::take(members_[*index])) return seat;
    // Another snapshot's pick took the last seat in between: on with the others.
    picking_.full.push_back(*index);
  }
  return std::nullopt;
}

Upstream::Place Upstream::pick_for_reroute(const Wish& wish, TimePoint now, Cause cause) const {
  const bool is_lost = occasion(cause) == Occasion::lost;
  const std::lock_guard lock(picking_.mutex);
  balance::Wish prepared = picking_.prepare(wish, now, is_lost ? Among::active : Among::eligible);
  Place place;
  if (picking_.panic && cause == Cause::unhealthy) return place;
  while (const auto index = picking_.choose(prepared)) {
    const auto& member = members_[*index];
    if (auto dialling = try_dialling(member, now)) {
      place.seat = Seat::take(member);
      if (!place.seat) {
        picking_.full.push_back(*index);
        continue;
      }
      place.dialling = std::move(dialling);
      return place;
    }
    place.busy = Busy::yes;
    if (!member->dials_are_stuck(now)) break;
    picking_.excluded.push_back(*index);
    prepared.exclude = picking_.excluded;
  }
  return place;
}

Change Upstream::failed(Backend& backend, FailureKind kind, std::string what, TimePoint now) const {
  backend.count_failure(kind, std::move(what));
  return outlier_.failed(backend, kind, now);
}

}  // namespace holdfast::upstream
