// One backend leg after another: what the state machine (reroute.hpp) decides is done here. LIFECYCLE.md
// draws it.

#include <algorithm>
#include <cassert>

#include "session/session.hpp"

namespace holdfast::session {

namespace {
constexpr std::uint32_t linger_ms = 2'000;
}  // namespace

Reroute::Rules Session::reroute_rules() const noexcept {
  return {route().hold_ms.load(std::memory_order_relaxed), route().attempts.load(std::memory_order_relaxed),
          route().close_timeout_ms.load(std::memory_order_relaxed)};
}

bool Session::can_reroute(Cause cause) const noexcept {
  return phase_ == Phase::open && continuation_ != nullptr && shard().surroundings().desk != nullptr &&
         route().reroutes_on(cause) &&
         (continuity_ == Continuity::whole || (continuity_ == Continuity::until_used && !compressed_));
}

// --- a leg is lost ---

void Session::detach(Cause cause, std::uint16_t answer_code) noexcept {
  assert(phase_ == Phase::open && current_ != nobody && former_ == nobody);
  answer_open_ping();
  if (phase_ != Phase::open) return;  // the client's leg was found dead
  const Peer gone = current_;
  BackendSide& old = backend_side(gone);
  const net::Liveness last = old.leg.liveness();
  const bool planned = breaking_;
  const bool can_answer = answer_code != 0 && at_boundary(gone) && !replay_.blocked() && !old.write_broken;
  const Reroute::Todo todo = part_from(gone, cause, answer_code, last);
  if (can_answer) {
    write(gone, ws::encode_close(answer_code, {}, mask_for(gone)).view());
    old.close_written = true;
  }
  leave(gone);
  if (old.leg && answer_code == 0 && !planned) {
    // Nobody is there to hear our last words; what counts as undelivered must not arrive later.
    if (last.unacknowledged_bytes > 0) old.leg.abort();
    drop(gone);
  }
  perform(todo);
  judge_client_pause();
  look_soon();
}

// The present leg is dead, and what it has sent waits for a client that reads nothing: that may be because it
// writes before it reads. So it gets another backend to write to; what the dead one has sent stays first.
void Session::let_it_finish() noexcept {
  const Peer gone = current_;
  BackendSide& old = backend_side(gone);
  const Reroute::Todo todo = part_from(gone, Cause::lost, 0, old.leg.liveness());
  former_ = gone;
  old.role = Role::former;
  old.seat = {};
  perform(todo);
  judge_client_pause();
  look_soon();
}

// Counts what is lost with it and keeps what the next leg is to get.
Reroute::Todo Session::part_from(Peer gone, Cause cause, std::uint16_t answer_code,
                                 net::Liveness last) noexcept {
  const Tick now = shard().loop().now();
  BackendSide& old = backend_side(gone);
  const bool planned = breaking_;
  const bool confirmed = planned && answers_ours(answer_code) && last.unacknowledged_bytes == 0;
  if (confirmed) replay_.answered();  // it has read all that came before our Close: nothing to be given again
  if (answer_code != 0 || planned) last.unacknowledged_bytes = 0;  // it lives, and may still read all of it
  const auto sent_bytes = old.given_bytes - static_cast<std::uint32_t>(replay_.unsent_bytes());
  breaking_ = false;
  if (!planned && cause == Cause::lost) tell_leg_lost(gone);
  if (!planned) detour().paused_at = now;
  if (!planned) end_move();  // it is a reroute now; break_first is on its way until it has its new leg
  old.seat.backend().count_reroute_from();
  detour().tally = {};
  set_stranded(false);
  const upstream::Backend* here = &old.seat.backend();
  const Reroute::Todo todo = reroute_.lost(now, cause, here, shard().random(), reroute_rules());
  detour().why_not = todo == Reroute::Todo::give_up ? "the legs it gets don't last" : "";
  const Replay::Rewound rewound = replay_.rewind(shard().loop().buffers(), stream_point());
  if (rewound.swallow) {
    swallowing_ = true;
    preamble_wanted_ = preamble_messages_;  // it can't be one of them any more, nor what follows it
  }
  count_loss(last, sent_bytes, rewound);
  detour().latest = latest();
  current_ = nobody;
  return todo;
}

// Which messages are gone: those that the leg had whole and that no backend message followed. Of these the
// ones that its kernel never acknowledged are certainly undelivered. Marks are made once per write, so that
// this is a lower bound; a TLS leg's unacknowledged bytes are counted as if they were plaintext.
void Session::count_loss(const net::Liveness& last, std::uint32_t sent_bytes,
                         const Replay::Rewound& rewound) noexcept {
  const std::uint64_t kept = rewound.kept + rewound.dropped_begun;
  const std::uint64_t pending = client_messages_ - answered_;
  const std::uint64_t had = pending - std::min(pending, kept);
  const std::uint32_t acknowledged = sent_bytes - last.unacknowledged_bytes;
  const auto not_kept = static_cast<std::uint32_t>(client_messages_ - kept);
  std::uint64_t certain = 0;
  for (const Mark& mark : marks_) {
    const bool is_acknowledged = static_cast<std::int32_t>(mark.bytes - acknowledged) < 0;
    if (is_acknowledged || (mark.bytes == 0 && mark.messages == 0)) continue;
    const auto behind = static_cast<std::int32_t>(not_kept - mark.messages);
    if (behind > 0) certain = std::max(certain, static_cast<std::uint64_t>(behind));
  }
  certain = std::min(certain, had - std::min(had, rewound.had_before));
  Tally& tally = detour().tally;
  tally.undelivered = rewound.dropped + certain;
  tally.unconfirmed = had - certain;
  tally.resent = rewound.resent;
  cells().undelivered.add(tally.undelivered);
  cells().unconfirmed.add(tally.unconfirmed);
  cells().resent.add(tally.resent);
  answered_ = client_messages_ - std::min(client_messages_, rewound.kept);
}

// The client waits for a Pong that nobody else will send.
void Session::answer_open_ping() noexcept {
  if (open_ping_ == nullptr || phase_ != Phase::open || !at_boundary(client)) return;
  const BufferPtr ping = std::move(open_ping_);
  write(client, ws::encode_pong(ping->bytes(), std::nullopt).view());
}

void Session::perform(Reroute::Todo todo) noexcept {
  switch (todo) {
    case Reroute::Todo::nothing:
      return;
    case Reroute::Todo::ask:
      return ask();
    case Reroute::Todo::attach:
      return attach();
    case Reroute::Todo::switch_over:
      return try_switch();
    case Reroute::Todo::stay:
      note_reroute(RerouteResult::stayed, "no message boundary in time");
      return stay();
    case Reroute::Todo::hand_over:
      return hand_over();
    case Reroute::Todo::lose:
      return lose();
    case Reroute::Todo::give_up:
      drop_waiting();
      note_reroute(reroute_.reason() == Reason::reroute_refused  ? RerouteResult::refused
                   : reroute_.reason() == Reason::kills_backends ? RerouteResult::kills_backends
                                                                 : RerouteResult::no_backend,
                   detour().why_not.c_str());
      return end(reroute_.reason());
  }
}

void Session::ask() noexcept {
  auto attempt = std::make_unique<Attempt>();
  detour().withdrawn = std::make_shared<std::atomic<bool>>(false);
  attempt->shard = &shard();
  attempt->session = shard().handle_of(*this);
  attempt->id = id_;
  attempt->number = reroute_.number();
  attempt->retry = reroute_.retry();
  attempt->reroutes = reroute_.reroutes() + 1;
  attempt->cause = reroute_.cause();
  attempt->route = &route();
  attempt->upstream = upstream();
  attempt->continuation = continuation_->copy();
  attempt->exclude = reroute_.excluded();
  if (const upstream::Backend* here = backend()) attempt->exclude.back() = here;  // a move leads elsewhere
  attempt->deadline =
      Clock::now() + Milliseconds(reroute_.patience_ms(shard().loop().now(), reroute_rules()));
  attempt->withdrawn = detour().withdrawn;
  attempt->looks_only = reroute_.state() == Reroute::State::moving && breaks_first();
  shard().surroundings().desk->ask(std::move(attempt));
}

void Session::reply(AttemptReply& answer) noexcept {
  const bool wanted = answer.number == reroute_.number() && reroute_.attempt_under_way() &&
                      (phase_ == Phase::open || (phase_ == Phase::closing && current_ == nobody));
  if (!wanted) return;
  const Tick now = shard().loop().now();
  detour().withdrawn.reset();
  detour().tally.attempts = reroute_.retry() + 1;
  if (answer.result == AttemptResult::ready && answer.leg == nullptr) {
    note_place(now);
  } else if (answer.result == AttemptResult::ready && take_standby(answer)) {
    perform(reroute_.ready(now));
  } else if (phase_ == Phase::closing) {
    abandon_reroute();
    settle_if_done();
    return;
  } else {
    detour().why_not = answer.what;
    const Reroute::Todo todo =
        reroute_.failed(now, answer.result, answer.tried, shard().random(), reroute_rules());
    if (todo == Reroute::Todo::stay) {
      if (!stranded_) note_reroute(RerouteResult::stayed, detour().why_not.c_str());
      set_stranded(answer.result == AttemptResult::nobody && wanted_elsewhere().has_value());
      stay();
    } else {
      perform(todo);
    }
  }
  if (phase_ == Phase::open) look(now);
  check_if_asked();
}

// break_first: the old leg may be closed, as soon as there is a quiet point again. For a leg that was lost or
// has become urgent to leave meanwhile that is an answer to another question.
void Session::note_place(Tick now) noexcept {
  if (reroute_.state() == Reroute::State::attempting) {
    perform(reroute_.failed(now, AttemptResult::no_way, nullptr, shard().random(), reroute_rules()));
    return;
  }
  detour().place_found = true;
  detour().place_found_at = now;
  reroute_.found();
  end_move();
}

bool Session::take_standby(AttemptReply& answer) noexcept {
  const Peer slot = free_slot();
  BackendSide& fresh = backend_side(slot);
  fresh = BackendSide();
  fresh.leg = net::PumpLeg(std::move(answer.leg));
  if (!shard().loop().add(fresh.leg, *this, slot)) {
    fresh.leg.reset();
    answer.what = "out of epoll watches";
    answer.result = AttemptResult::no_way;
    return false;
  }
  fresh.seat = std::move(*answer.seat);
  fresh.role = Role::standby;
  fresh.reading = Reading::later;
  fresh.since = fresh.last_received = shard().loop().now();
  detour().early.reset();
  if (!answer.early.empty()) detour().early = std::make_unique<std::string>(std::move(answer.early));
  standby_ = slot;
  return true;
}

// A leg that only lingers makes room for one that is to work.
Session::Peer Session::free_slot() noexcept {
  (void)detour();
  for (const Peer peer : backend_peers()) {
    if (side(peer).role == Role::none && !side(peer).leg) return peer;
  }
  for (const Peer peer : backend_peers()) {
    if (side(peer).role != Role::leaving) continue;
    drop(peer);
    return peer;
  }
  assert(false);
  return second;
}

void Session::attach() noexcept {
  answer_open_ping();
  end_move();
  tell_attached(take_over());
  begin_leg(preamble_for_next_leg());
  if (phase_ == Phase::closing) {  // the client closed while it was held: its last messages go ahead of that
    write(current_, ws::encode_close(close_code_, {}, mask_for(current_)).view());
    side(current_).close_written = true;
  }
  if (former_ == nobody) feed_from(current_);
  judge_client_pause();
}

// The standby leg becomes the current one; the record lacks its pause.
std::unique_ptr<RerouteRecord> Session::take_over() noexcept {
  auto record = make_record(RerouteResult::attached, "");
  const std::shared_ptr<upstream::UpstreamState> before = upstream_state();
  current_ = standby_;
  standby_ = nobody;
  detour().latest.reset();  // a reference keeps a backend in the metrics that no config has any more
  BackendSide& leg = backend_side(current_);
  leg.role = Role::current;
  const auto& next = leg.seat.backend().upstream_state();
  if (in_circuit_ && next != before) {
    before->circuit().end_session();
    in_circuit_ = next->circuit().take_session().give_up();
  }
  latest()->count_reroute_to();
  ordered_.reset();  // what is still in the queue was about the leg before
  set_stranded(false);
  side(client).relayed_ping_open = false;
  record->upstream = upstream();
  record->to = latest()->address();
  upstream_state()->count(reroute_.cause(), RerouteResult::attached);
  return record;
}

void Session::leave_circuit() noexcept {
  if (in_circuit_) upstream_state()->circuit().end_session();
  in_circuit_ = false;
}

// What the new leg gets before anything else: the preamble, then what is kept for it.
void Session::begin_leg(std::span<const std::byte> preamble) noexcept {
  BackendSide& leg = backend_side(current_);
  leg.got_preamble = !preamble.empty();
  replay_.prepend(shard().loop().buffers(), preamble);
  leg.given_bytes = static_cast<std::uint32_t>(replay_.size());
  marks_ = {};
  set_mark(leg);
  flush_replay();
}

// The forced read comes in the next turn: this may be within somebody else's.
void Session::feed_from(Peer peer) noexcept {
  BackendSide& source = backend_side(peer);
  if (!source.leg) return;
  // As many as the client has had; the leg before may have brought some until now.
  if (source.got_preamble) source.answers_to_swallow = answers_;
  source.last_received = shard().loop().now();
  if (phase_ == Phase::settled) return;
  source.reading = Reading::frames;
  source.stops = 0;
  if (side(client).waiting(&Rest::unsent) != nullptr) source.pause(Stop::destination);
  if (const auto early = std::move(detour().early)) consume(peer, std::as_bytes(std::span(*early)));
  if (source.leg) shard().loop().requeue(*this, peer);
}

// --- ends of it ---

// FIN behind what is unsent; its own FIN is waited for, but not for long.
void Session::leave(Peer peer) noexcept {
  BackendSide& old = backend_side(peer);
  old.role = Role::leaving;
  old.seat = {};
  old.forget(&Rest::carry);
  old.forget(&Rest::held);
  old.resume(Stop::destination);
  old.since = shard().loop().now();
  if (old.reading != Reading::ended) old.reading = Reading::discard;
  finish(peer);
  shard().loop().requeue(*this, peer);  // to linger
}

// No new leg, if there was to be one.
void Session::stay() noexcept {
  if (standby_ != nobody) {
    const Peer unused = standby_;
    standby_ = nobody;
    detour().early.reset();
    write(unused, ws::encode_close(going_away, {}, mask_for(unused)).view());
    side(unused).close_written = true;
    leave(unused);
  }
  if (former_ == nobody) end_move();
}

// What was kept for a next leg will have none.
void Session::drop_waiting() noexcept {
  if (current_ != nobody && !breaking_) return;
  // Of those that are to be given again the leg before may have had some whole.
  const std::uint64_t perhaps = replay_.perhaps_delivered();
  const std::uint64_t certain = replay_.begun_messages() - replay_.with_some_leg();
  detour().tally.undelivered += certain;
  detour().tally.unconfirmed += perhaps;
  cells().undelivered.add(certain);
  cells().unconfirmed.add(perhaps);
  replay_.clear();
}

// The session ends: no attempt is wanted any more.
void Session::abandon_reroute() noexcept {
  const bool held =
      reroute_.state() == Reroute::State::held || reroute_.state() == Reroute::State::attempting;
  drop_waiting();
  if (held) note_reroute(RerouteResult::gone, "");
  (void)reroute_.close();
  breaking_ = false;
  withdraw_attempt();
}

void Session::withdraw_attempt() noexcept {
  if (detour_ == nullptr || detour_->withdrawn == nullptr) return;
  detour_->withdrawn->store(true, std::memory_order_relaxed);
  detour_->withdrawn.reset();
}

Session::Detour& Session::detour() {
  if (detour_ == nullptr) detour_ = std::make_unique<Detour>();
  return *detour_;
}

// Once the session has one leg again, in its first place, and nothing is to be told of how it got it.
void Session::forget_detour() noexcept {
  if (detour_ == nullptr || current_ != first || reroute_.state() != Reroute::State::attached) return;
  const BackendSide& spare = detour_->second;
  if (spare.role == Role::none && !spare.leg) detour_.reset();
}

void Session::look_at_reroute(Tick now, std::uint32_t& wait) noexcept {
  for (const Peer peer : backend_peers()) {
    if (side(peer).role != Role::leaving || !side(peer).leg) continue;
    const std::uint32_t left = remaining_ms(side(peer).since, linger_ms, now);
    if (left == 0) {
      drop(peer);
    } else {
      wait = std::min(wait, left);
    }
  }
  if (breaking_) {
    const std::uint32_t timeout = route().close_timeout_ms.load(std::memory_order_relaxed);
    const std::uint32_t left = remaining_ms(detour().breaking_since, timeout, now);
    if (left == 0 && side(current_).paused()) {
      detour().breaking_since = now;
    } else if (left == 0 && backend_side(current_).given == Given::whole_ones) {
      detach(reroute_.cause());
    }
    wait = std::min(wait, std::max(left, turn_again_ms));
  }
  note_disabled();
  perform(reroute_.tick(now, reroute_rules()));
  if (phase_ != Phase::open) return;
  forget_detour();
  if (reroute_.state() == Reroute::State::settling && !breaking_) look_for_quiet(now, wait);
  if (remaining_ms(move_tried_at_, move_wait_ms_, now) == 0) move_wait_ms_ = 0;  // while a Tick can tell
  if (reroute_.state() == Reroute::State::attached && !ordered_) {
    if (const auto cause = wanted_elsewhere()) {
      const std::uint32_t left = remaining_ms(move_tried_at_, move_wait_ms_, now);
      if (left > 0) {
        wait = std::min(wait, left);
      } else {
        (void)order_move(*cause);
      }
    } else {
      set_stranded(false);
    }
  }
  wait = std::min(wait, reroute_.next_ms(now, wait, reroute_rules()));
}

void Session::set_stranded(bool stranded) noexcept {
  if (stranded == stranded_) return;
  stranded_ = stranded;
  shard().surroundings().cells.stranded.add(stranded ? 1 : -1);
}

}  // namespace holdfast::session
