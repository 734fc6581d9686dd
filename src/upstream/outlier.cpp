#include "holdfast/upstream/outlier.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::upstream {

namespace {
// Five failures in a week are no pattern; but a readmitted backend must still be known after its time out.
constexpr std::chrono::minutes shortest_memory{1};
// Sessions of one process don't notice its death all in the same turn.
constexpr std::chrono::seconds one_crash{1};
constexpr std::uint8_t most_doublings = 32;

std::string plural(std::uint64_t count, const char* what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}
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

void Outlier::forget_old(Offences& offences, TimePoint now) const noexcept {
  const Milliseconds served = std::max(rules_.eject_for, offences.ejection.lasts);
  if (now - offences.latest > shortest_memory + 2 * served)
    offences.in_a_row = offences.in_a_row_5xx = offences.early_in_a_row = 0;
  offences.latest = now;
}

Change Outlier::failed(Backend& backend, FailureKind kind, TimePoint now) const {
  Offences& offences = backend.offences_;
  const std::lock_guard lock(offences.mutex);
  forget_old(offences, now);
  offences.outcomes.note(now, rules_.success_window, 0, 1);
  const bool answered = kind == FailureKind::handshake_status;
  auto& run = answered ? offences.in_a_row_5xx : offences.in_a_row;
  if (run < UINT32_MAX) ++run;
  const Offence what = answered                       ? Offence::answered_5xx
                       : kind == FailureKind::connect ? Offence::died
                                                      : Offence::gave_no_answer;
  return judge(backend, offences, what, now);
}

// Only the runs that this offence belongs to: what another one has left says nothing about it.
Change Outlier::judge(Backend& backend, Offences& offences, Offence latest, TimePoint now) const {
  const auto reached = [](std::uint32_t run, std::uint32_t most) { return most != 0 && run >= most; };
  if (latest == Offence::answered_5xx) {
    if (reached(offences.in_a_row_5xx, rules_.consecutive_5xx))
      return eject(backend, offences, EjectReason::consecutive_5xx, latest, now);
  } else if (reached(offences.in_a_row, rules_.consecutive_failures)) {
    return eject(backend, offences, EjectReason::consecutive_failures, latest, now);
  } else if (latest == Offence::died && reached(offences.early_in_a_row, rules_.consecutive_failures)) {
    return eject(backend, offences, EjectReason::early_deaths, latest, now);
  }
  if (rules_.success_percent == 0) return Change::none;
  const Outcomes::Sum sum = offences.outcomes.sum(now, rules_.success_window);
  if (sum.all() < rules_.success_minimum || sum.success_percent() >= rules_.success_percent)
    return Change::none;
  return eject(backend, offences, EjectReason::success_rate, latest, now);
}

// Each eject_for since it worked again takes one doubling back.
Change Outlier::eject(Backend& backend, Offences& offences, EjectReason reason, Offence latest,
                      TimePoint now) const {
  if (backend.ejected() || !may_eject_one_more()) return Change::none;
  if (offences.good_since && now > *offences.good_since) {
    const auto times = (now - *offences.good_since) / rules_.eject_for;
    offences.doublings -= static_cast<std::uint8_t>(std::min<std::int64_t>(times, offences.doublings));
  }
  offences.good_since.reset();
  offences.quick_return = offences.doublings == 0;
  const Milliseconds longest = std::max(rules_.eject_for, rules_.eject_max);
  Milliseconds lasts = rules_.eject_for;
  for (std::uint8_t n = 0; n < offences.doublings && lasts < longest; ++n)
    lasts = std::min(lasts * 2, longest);
  if (lasts < longest && offences.doublings < most_doublings) ++offences.doublings;
  if (longest == rules_.eject_for) offences.doublings = 1;  // nothing to double, but it is no first time
  offences.ejection = {reason, lasts, now + lasts};
  offences.probed = Offences::Probed::not_yet;
  offences.passed_in_a_row = 0;
  // That a new process has taken its place is what probes can tell; that it answers, they may not.
  offences.was_down = latest == Offence::died;
  offences.outcomes.clear();
  // The first failure after its trial's begin ejects it again, whatever it was ejected for.
  if (reason == EjectReason::success_rate)
    offences.in_a_row = std::max(offences.in_a_row, rules_.consecutive_failures);
  backend.trial_.store(Backend::Trial::none);
  const bool was_eligible = backend.eligible();
  backend.ejected_.store(true, std::memory_order_relaxed);
  backend.note_change(was_eligible, now);
  backend.ejections_[static_cast<std::size_t>(reason)].fetch_add(1, std::memory_order_relaxed);
  return Change::ejected;
}

void Outlier::succeeded(Seat& seat, Answer answer, TimePoint now) const {
  Backend& backend = seat.backend();
  {
    Offences& offences = backend.offences_;
    const std::lock_guard lock(offences.mutex);
    offences.in_a_row = offences.in_a_row_5xx = 0;
    if (!offences.good_since) offences.good_since = now;
    // A session's outcome is known once it has lived for a while.
    const bool judged_later = answer == Answer::session && backend.judges_early_deaths();
    if (!judged_later) offences.outcomes.note(now, rules_.success_window, 1, 0);
    backend.trial_.store(Backend::Trial::none);
  }
  if (seat.kind_ == Seat::Kind::trial) backend.upstream_state()->queue().wake_first();
  seat.kind_ = Seat::Kind::ordinary;
}

void Outlier::probed(Backend& backend, ProbeVerdict verdict) const {
  using Probed = Offences::Probed;
  Offences& offences = backend.offences_;
  const std::lock_guard lock(offences.mutex);
  if (verdict == ProbeVerdict::passed) {
    offences.probed = Probed::passed;
    if (offences.passed_in_a_row < UINT32_MAX) ++offences.passed_in_a_row;
  } else {
    offences.probed = Probed::failed;
    offences.passed_in_a_row = 0;
    offences.was_down = true;
  }
}

Outlier::Losses Outlier::new_losses(Backend& backend, Offences& offences) noexcept {
  const Losses now{backend.failures(FailureKind::lost), backend.failures(FailureKind::early_death),
                   backend.kept_legs()};
  const Losses fresh{now.lost - offences.seen_lost, now.early - offences.seen_early,
                     now.kept - offences.seen_kept};
  offences.seen_lost = now.lost;
  offences.seen_early = now.early;
  offences.seen_kept = now.kept;
  return fresh;
}

void Outlier::note_losses(Offences& offences, const Losses& losses, TimePoint now) const noexcept {
  const auto is_another = [now](std::optional<TimePoint>& crash) {
    const bool another = !crash || now - *crash >= one_crash;
    if (another) crash = now;
    return another;
  };
  std::uint64_t bad = losses.early;
  if (losses.lost + losses.early > 0 && is_another(offences.crash_at)) {
    ++offences.in_a_row;
    if (losses.lost > 0) ++bad;
  }
  if (losses.early > 0 && is_another(offences.early_crash_at)) ++offences.early_in_a_row;
  if (losses.kept > 0) offences.early_in_a_row = 0;
  offences.outcomes.note(now, rules_.success_window, losses.kept, bad);
}

std::vector<Outlier::Verdict> Outlier::collect(TimePoint now) const {
  std::vector<Verdict> ejected;
  for (const auto& member : members_) {
    if (!member->has_uncollected_losses()) continue;
    Offences& offences = member->offences_;
    std::string why;
    Change change = Change::none;
    {
      const std::lock_guard lock(offences.mutex);
      const Losses losses = new_losses(*member, offences);
      // Whom the operator has taken out is expected to die.
      const bool judged =
          rules_.lost_sessions == LostSessions::count && member->admin_state() == AdminState::active;
      const std::uint64_t gone = losses.lost + losses.early;
      if (!judged) continue;
      if (gone > 0) {
        forget_old(offences, now);
        why = plural(gone, "session") + " lost without a Close";
        if (losses.early > 0) why += ", " + std::to_string(losses.early) + " of them early";
      }
      note_losses(offences, losses, now);
      if (gone > 0) change = judge(*member, offences, Offence::died, now);
    }
    if (!why.empty()) member->note_error(why);
    if (change == Change::ejected) ejected.push_back({member, why});
  }
  return ejected;
}

bool Outlier::may_return(const Backend& backend, const Offences& offences, TimePoint now) const noexcept {
  const bool probing = rules_.probing == Probing::on && backend.is_probed();
  if (!probing) return now >= offences.ejection.until;
  if (now >= offences.ejection.until) return offences.probed == Offences::Probed::passed;
  return offences.quick_return && offences.was_down && offences.passed_in_a_row >= rules_.rise;
}

std::vector<std::shared_ptr<Backend>> Outlier::tick(TimePoint now) const {
  std::vector<std::shared_ptr<Backend>> readmitted;
  for (const auto& member : members_) {
    if (!member->ejected()) continue;
    Offences& offences = member->offences_;
    const std::lock_guard lock(offences.mutex);
    if (!member->ejected() || !may_return(*member, offences, now)) continue;
    // The runs stay: the first failure ejects again, so a mute backend costs one client per round.
    member->trial_.store(Backend::Trial::open);
    const bool was_eligible = member->eligible();
    member->ejected_.store(false, std::memory_order_relaxed);
    member->note_change(was_eligible, now);
    readmitted.push_back(member);
  }
  return readmitted;
}

}  // namespace holdfast::upstream
