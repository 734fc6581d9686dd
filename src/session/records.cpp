// What a session tells of itself: one record at its end, one of each reroute, and what an operator's list
// shows.

#include <utility>

#include "session/session.hpp"

namespace holdfast::session {

void Session::record() noexcept {
  const Tick now = shard_.loop().now();
  const std::chrono::milliseconds duration{age_ms(now)};
  cells_.end(reason_, close_code_);
  shard_.surroundings().cells.session_duration.observe(duration);
  open_sessions_.open.add(-1);
  shard_.session_ended();
  tell_moved();
  set_stranded(false);
  for (const Peer peer : backend_peers()) backend_side(peer).seat = {};
  leave_circuit();
  if (!shard_.surroundings().access.wants_access_records()) return;
  auto entry = std::make_unique<AccessRecord>();
  entry->story = story_.unpack();
  entry->story.upstream = upstream();
  entry->story.backend = latest_->address();
  entry->route = route_.name();
  entry->duration = duration;
  entry->to_backend = to_backend_;
  entry->to_client = to_client_;
  entry->reroutes = reroute_.reroutes();
  if (throttle_ != nullptr) entry->rate_pauses = throttle_->pauses;
  entry->close_code = close_code_;
  entry->reason = reason_;
  entry->closed_by = closed_by_;
  shard_.surroundings().access.record(std::move(entry));
}

std::unique_ptr<RerouteRecord> Session::make_record(RerouteResult result, const char* detail) const {
  auto entry = std::make_unique<RerouteRecord>();
  entry->session = id_.text();
  entry->client = story_.client();
  entry->route = route_.name();
  entry->upstream = upstream();
  entry->from = latest_->address();
  entry->cause = reroute_.cause();
  entry->result = result;
  entry->attempts = detour_->tally.attempts;
  entry->resent = detour_->tally.resent;
  entry->undelivered = detour_->tally.undelivered;
  entry->unconfirmed = detour_->tally.unconfirmed;
  entry->detail = detail;
  return entry;
}

// It came to no new leg.
void Session::note_reroute(RerouteResult result, const char* detail) noexcept {
  upstream_state()->count(reroute_.cause(), result);
  auto entry = make_record(result, detail);
  if (result != RerouteResult::stayed)
    entry->pause = Milliseconds(elapsed_ms(detour().paused_at, shard_.loop().now()));
  shard_.surroundings().access.record(std::move(entry));
}

void Session::tell_attached(std::unique_ptr<RerouteRecord> entry) noexcept {
  entry->pause = Milliseconds(elapsed_ms(detour().paused_at, shard_.loop().now()));
  shard_.surroundings().cells.reroute_duration.observe(entry->pause);
  shard_.surroundings().access.record(std::move(entry));
}

void Session::tell_moved() noexcept {
  if (detour_ == nullptr || detour_->moved == nullptr) return;
  auto record = std::move(detour_->moved);
  record->unconfirmed = std::exchange(detour_->former_pending, 0);
  cells_.unconfirmed.add(record->unconfirmed);
  tell_attached(std::move(record));
}

SessionView Session::view(Tick now) const {
  SessionView seen;
  seen.id = id_;
  seen.client = story_.client();
  seen.listener = story_.listener();
  if (current_ != nobody) seen.backend = latest_->address();
  seen.route = route_.name();
  seen.upstream = upstream();
  seen.state = phase_ != Phase::open                          ? "closing"
               : current_ == nobody                           ? "held"
               : reroute_.state() != Reroute::State::attached ? "moving"
                                                              : "open";
  seen.age_ms = age_ms(now);
  seen.reroutes = reroute_.reroutes();
  seen.to_backend = to_backend_;
  seen.to_client = to_client_;
  return seen;
}

// Outlier detection is told by counting, not judged here: this is a pump thread.
void Session::tell_leg_lost(Peer peer) noexcept {
  const BackendSide& leg = backend_side(peer);
  if (leg.seat) leg.seat.backend().lost_leg(elapsed_ms(leg.begun, shard_.loop().now()));
}

void Session::tell_leg_kept(Peer peer) noexcept {
  BackendSide& leg = backend_side(peer);
  if (leg.kept_told || !leg.seat || !leg.seat.backend().judges_early_deaths()) return;
  leg.kept_told = true;
  leg.seat.backend().kept_leg();
}

void Session::judge_leg_age(Tick now, std::uint32_t& wait_ms) noexcept {
  if (current_ == nobody || backend_side(current_).kept_told || !backend_side(current_).seat) return;
  const std::uint32_t early = backend_side(current_).seat.backend().early_death_ms();
  if (early == 0) return;
  const std::uint32_t left = remaining_ms(backend_side(current_).begun, early, now);
  if (left == 0) {
    tell_leg_kept(current_);
  } else {
    wait_ms = std::min(wait_ms, left);
  }
}

}  // namespace holdfast::session
