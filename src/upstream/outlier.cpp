#include "holdfast/upstream/outlier.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::upstream {

namespace {
// Five failures in a week are no pattern; but a readmitted backend must still be known after its time out.
constexpr std::chrono::minutes shortest_memory{1};
}  // namespace

Outlier::Outlier(OutlierRules rules, std::vector<std::shared_ptr<Backend>> members)
    : rules_(rules), members_(std::move(members)) {}

// Two threads may both find room for the last one: one backend too many for `eject_for` does no harm,
// a lock over the upstream at every failure would.
bool Outlier::may_eject_one_more() const noexcept {
  if (rules_.max_ejected_percent == 0) return false;
  const std::size_t share = members_.size() * rules_.max_ejected_percent / 100;
  const std::size_t most = members_.size() >= 2 ? std::max<std::size_t>(share, 1) : share;
  const auto ejected =
      std::count_if(members_.begin(), members_.end(), [](const auto& member) { return member->ejected(); });
  return static_cast<std::size_t>(ejected) < most;
}

Change Outlier::failed(Backend& backend, FailureKind kind, TimePoint now) const {
  if (rules_.consecutive_failures == 0 || kind == FailureKind::handshake_status) return Change::none;
  Backend::Offences& offences = backend.offences_;
  const std::lock_guard lock(offences.mutex);
  if (now - offences.latest > shortest_memory + 2 * rules_.eject_for) offences.in_a_row = 0;
  offences.latest = now;
  if (offences.in_a_row < UINT32_MAX) ++offences.in_a_row;
  if (backend.ejected() || offences.in_a_row < rules_.consecutive_failures || !may_eject_one_more()) {
    return Change::none;
  }
  offences.ejected_until = now + rules_.eject_for;
  offences.probed = Backend::Offences::Probed::not_yet;
  backend.trial_.store(Backend::Trial::none);
  const bool was_eligible = backend.eligible();
  backend.ejected_.store(true, std::memory_order_relaxed);
  backend.note_change(was_eligible, now);
  return Change::ejected;
}

void Outlier::succeeded(Seat& seat) const {
  Backend& backend = seat.backend();
  {
    const std::lock_guard lock(backend.offences_.mutex);
    backend.offences_.in_a_row = 0;
    backend.trial_.store(Backend::Trial::none);
  }
  if (seat.kind_ == Seat::Kind::trial) backend.upstream_state()->queue().wake_first();
  seat.kind_ = Seat::Kind::ordinary;
}

void Outlier::probed(Backend& backend, ProbeVerdict verdict) const {
  using Probed = Backend::Offences::Probed;
  const std::lock_guard lock(backend.offences_.mutex);
  backend.offences_.probed = verdict == ProbeVerdict::passed ? Probed::passed : Probed::failed;
}

std::vector<std::shared_ptr<Backend>> Outlier::tick(TimePoint now) const {
  std::vector<std::shared_ptr<Backend>> readmitted;
  for (const auto& member : members_) {
    Backend::Offences& offences = member->offences_;
    const std::lock_guard lock(offences.mutex);
    const bool vouched =
        rules_.probing == Probing::off || offences.probed == Backend::Offences::Probed::passed;
    if (!member->ejected() || now < offences.ejected_until || !vouched) continue;
    // in_a_row stays: the first failure ejects again, so a mute backend costs one client per round.
    member->trial_.store(Backend::Trial::open);
    const bool was_eligible = member->eligible();
    member->ejected_.store(false, std::memory_order_relaxed);
    member->note_change(was_eligible, now);
    readmitted.push_back(member);
  }
  return readmitted;
}

}  // namespace holdfast::upstream
