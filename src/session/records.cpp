// What a session tells of itself: one record at its end, one of each reroute, and what an operator's list
// shows.

#include <utility>

#include "session/session.hpp"

namespace holdfast::session {

void Session::record() noexcept {
  cells().end(reason_, close_code_);
  shard().surroundings().cells.session_duration.observe(Milliseconds(age_ms(shard().loop().now())));
  kind_.open_sessions.open.add(-1);
  shard().session_ended();
  tell_moved();
  set_stranded(false);
  leave_circuit();
  tell_session();
  for (const Peer peer : backend_peers()) backend_side(peer).seat = {};
}

void Session::tell_session() noexcept {
  if (!shard().surroundings().access.wants_access_records()) return;
  auto entry = std::make_unique<AccessRecord>();
  entry->story = story_.unpack();
  entry->story.listener = kind_.listener;
  entry->story.upstream = upstream();
  entry->story.backend = latest()->address();
  entry->route = route().name();
  entry->duration = Milliseconds(age_ms(shard().loop().now()));
  entry->to_backend = to_backend_;
  entry->to_client = to_client_;
  entry->reroutes = reroute_.reroutes();
  if (throttle_ != nullptr) entry->rate_pauses = throttle_->pauses;
  entry->close_code = close_code_;
  entry->reason = reason_;
  entry->closed_by = closed_by_;
  shard().surroundings().access.record(std::move(entry));
}

std::unique_ptr<RerouteRecord> Session::make_record(RerouteResult result, const char* detail) const {
  auto entry = std::make_unique<RerouteRecord>();
  entry->session = id_.text();
  entry->client = story_.client();
  entry->route = route().name();
  entry->upstream = upstream();
  entry->from = latest()->address();
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
    entry->pause = Milliseconds(elapsed_ms(detour().paused_at, shard().loop().now()));
  shard().surroundings().access.record(std::move(entry));
}

void Session::tell_attached(std::unique_ptr<RerouteRecord> entry) noexcept {
  entry->pause = Milliseconds(elapsed_ms(detour().paused_at, shard().loop().now()));
  shard().surroundings().cells.reroute_duration.observe(entry->pause);
  shard().surroundings().access.record(std::move(entry));
}

void Session::tell_moved() noexcept {
  if (detour_ == nullptr || detour_->moved == nullptr) return;
  auto record = std::move(detour_->moved);
  record->unconfirmed = std::exchange(detour_->former_pending, 0);
  cells().unconfirmed.add(record->unconfirmed);
  tell_attached(std::move(record));
}

SessionView Session::view(Tick now) const {
  SessionView seen;
  seen.id = id_;
  seen.client = story_.client();
  seen.listener = kind_.listener;
  if (current_ != nobody) seen.backend = latest()->address();
  seen.route = route().name();
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
  const std::uint32_t lived = leg.kept_told ? UINT32_MAX : since_ms(leg.since, shard().loop().now());
  if (leg.seat) leg.seat.backend().lost_leg(lived);
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
  const std::uint32_t left = left_ms(backend_side(current_).since, early, now);
  if (left == 0) {
    tell_leg_kept(current_);
  } else {
    wait_ms = std::min(wait_ms, left);
  }
}

}  // namespace holdfast::session
