// How a session ends: SESSIONS.md section 3 as code, LIFECYCLE.md as picture.

#include <cassert>
#include <utility>

#include "session/session.hpp"

namespace holdfast::session {

namespace {
constexpr std::uint32_t linger_ms = 2'000;

// The client is asked to leave and its own Close is waited for and relayed to the backend.
bool waits_for_the_client(Reason reason) noexcept {
  return reason == Reason::drain || reason == Reason::idle || reason == Reason::max_age ||
         reason == Reason::upstream_gone || reason == Reason::closed_by_operator ||
         reason == Reason::token_expired;
}
bool is_relayed(Reason reason) noexcept {
  return reason == Reason::client_closed || reason == Reason::backend_closed;
}
}  // namespace

Reason Session::reason_of_cut(Given given) noexcept {
  switch (given) {
    case Given::part_of_frame:
      return Reason::cut_mid_frame;
    case Given::part_of_message:
      return Reason::cut_mid_message;
    case Given::whole_ones:
      break;
  }
  return Reason::backend_lost;
}

void Session::begin_closing(Reason reason, ClosedBy who, std::uint16_t code) noexcept {
  assert(phase_ == Phase::open);
  phase_ = Phase::closing;
  reason_ = reason;
  closed_by_ = who;
  close_code_ = code;
  arm_closing_timer(route().close_timeout_ms.load(std::memory_order_relaxed));
  lift_throttle();  // its Close may be behind what waits, and close_timeout bounds the rest
}

// The frame itself has just been forwarded, if there was anybody to get it; nothing behind it may be.
void Session::close_came(Peer from, std::uint16_t code) noexcept {
  Side& source = side(from);
  source.close_received = true;
  source.reading = Reading::discard;
  if (phase_ == Phase::open) {
    if (current_ != nobody && (from == client || code == normal_closure || code == going_away))
      tell_leg_kept(current_);
    begin_closing(from == client ? Reason::client_closed : Reason::backend_closed,
                  from == client ? ClosedBy::client : ClosedBy::backend, code);
    answer_ = {code, code};  // what we say for a peer that does not answer
    if (current_ == nobody) {
      // A running attempt may still deliver what was held; without one, or without anything to deliver, it is
      // over.
      if (!reroute_.attempt_under_way() || replay_.empty()) abandon_reroute();
    }
  }
  settle_if_done();
}

void Session::input_ended(Peer from, net::IoState state) noexcept {
  Side& source = side(from);
  source.reading = Reading::ended;
  if (phase_ == Phase::settled || source.role == Role::leaving) {
    if (source.finished || state == net::IoState::failed) drop(from);
    return;
  }
  if (from == former_) {
    former_done(from);
    if (phase_ == Phase::open || from != former_) return;
  }
  if (phase_ == Phase::closing) {
    // Its Close is here or will never come; a leg that is dead can't be told anything either.
    if (state == net::IoState::failed || source.write_broken) drop(from);
    settle_if_done();
    return;
  }
  if (from == client) {
    client_ended(state);
  } else {
    backend_ended(from, state);
  }
}

// A half-closed client: what it sent reaches the backend, what is under way still reaches it.
void Session::client_ended(net::IoState state) noexcept {
  stay();
  if (current_ == nobody || breaking_) abandon_reroute();
  begin_closing(Reason::client_vanished, ClosedBy::client, 0);
  if (state == net::IoState::failed || side(client).write_broken) {
    drop(client);
  } else if (current_ != nobody) {
    finish(current_);
  }
  settle_if_done();
}

void Session::backend_ended(Peer from, net::IoState state) noexcept {
  const Given given = backend_side(from).given;
  if (given == Given::whole_ones && (breaking_ || can_reroute(Cause::lost))) {
    detach(breaking_ ? reroute_.cause() : Cause::lost);
    return;
  }
  if (!breaking_) tell_leg_lost(from);
  end(reason_of_cut(given));
  if (state == net::IoState::failed && side(from).leg) drop(from);
}

void Session::write_failed(Peer to) noexcept {
  Side& destination = side(to);
  destination.write_broken = true;
  destination.forget(&Rest::unsent);
  if (to == client && feeding() != nobody && side(feeding()).paused()) {
    side(feeding()).resume(Stop::destination);
    shard().loop().requeue(*this, feeding());
  }
  const bool nothing_to_read =
      destination.reading == Reading::ended || (destination.paused() && to == client);
  if (phase_ == Phase::settled || destination.role == Role::leaving) {
    drop(to);
  } else if (nothing_to_read) {
    lost(to);
  } else {
    // What it sent before it died is still to be read; its end shows behind that.
    destination.ending = true;
    if (destination.paused()) look_soon();
    shard().loop().requeue(*this, to);
  }
}

void Session::violated(Peer from, ws::Violation violation) noexcept {
  if (from == former_) {
    former_done(from);
    return;
  }
  if (violation == ws::Violation::message_too_big) {
    refuse(from, Reason::message_too_big);
  } else {
    refuse(from, from == client ? Reason::client_violation : Reason::backend_violation);
  }
}

void Session::refuse(Peer from, Reason reason) noexcept {
  side(from).reading = Reading::discard;
  if (phase_ == Phase::open) return end(reason);
  // While closing, a peer that breaks the rules has nothing to say any more.
  side(from).close_received = true;
  settle_if_done();
}

void Session::end(Reason reason) noexcept {
  Ending codes = ending(reason);
  if (reason == Reason::token_expired) codes.to_client = route().at_expiry.load(std::memory_order_relaxed);
  if (phase_ == Phase::closing && is_running()) {
    answer_[0] = codes.to_client;  // half-closed: it can't answer, but it can still read why
    settle();
  }
  if (phase_ != Phase::open) return;
  stay();
  abandon_reroute();
  begin_closing(reason, ClosedBy::proxy, codes.to_client);
  answer_ = {codes.to_client, codes.to_backend};
  offer_close(client, codes.to_client);
  if (current_ != nobody && !waits_for_the_client(reason)) offer_close(current_, codes.to_backend);
  if (at_boundary(client)) write_due_close(client);
  if (current_ != nobody && at_boundary(current_)) write_due_close(current_);
  settle_if_done();
}

void Session::end_at(Reason reason, Tick when) noexcept {
  if (!is_running()) return;
  forget_revoked_end();
  if (planned_ != Reason::none && static_cast<std::int32_t>(end_at_ - when) <= 0) return;
  planned_ = reason;
  end_at_ = when;
  on_timer(shard().loop().now());
}

std::string_view Session::words_for(Peer to) const noexcept {
  return reason_ == Reason::token_expired && to == client ? "token expired" : "";
}

// To be written at the end of the frame that is passing; a code of 0 is nothing to write.
void Session::offer_close(Peer to, std::uint16_t code) noexcept {
  if (side(to).leg && !side(to).close_written) side(to).close_due = code;
}

void Session::write_due_close(Peer to) noexcept {
  Side& destination = side(to);
  if (destination.close_due == 0) return;
  const ws::ControlFrame frame = ws::encode_close(destination.close_due, words_for(to), mask_for(to));
  destination.close_due = 0;
  write(to, frame.view());
  destination.close_written = true;
  // Nothing may follow a Close.
  const Peer source = source_for(to);
  if (source != nobody && side(source).reading == Reading::frames) side(source).reading = Reading::discard;
  settle_if_done();
}

void Session::settle_if_done() noexcept {
  if (phase_ != Phase::closing) return;
  const Side& c = side(client);
  const bool client_done = c.close_received || c.reading == Reading::ended || !c.leg;
  // A frame that never ends any more leaves no place for a Close.
  const bool client_due =
      c.close_due != 0 && c.leg && feeding() != nobody && side(feeding()).reading == Reading::frames;
  bool backend_done = !reroute_.attempt_under_way();
  bool backend_due = false;
  if (current_ != nobody) {
    const Side& b = side(current_);
    backend_done = b.close_received || b.reading == Reading::ended || !b.leg;
    backend_due = b.close_due != 0 && b.leg && c.reading == Reading::frames;
  }
  bool done = false;
  if (is_relayed(reason_)) {
    done = client_done && backend_done;
  } else if (waits_for_the_client(reason_)) {
    done = client_done && !client_due;
  } else if (reason_ == Reason::client_vanished) {
    done = backend_done || !c.leg;
  } else {
    done = !client_due && !backend_due;
  }
  if (done) settle();
}

void Session::settle() noexcept {
  if (phase_ == Phase::settled) return;
  stay();
  abandon_reroute();
  // "We answer" for a peer that did not; in the middle of a frame nothing legal can be said.
  for (const Peer peer : {client, current_}) {
    const std::uint16_t code = answer_[peer == client ? 0 : 1];
    if (peer == nobody || code == 0 || side(peer).close_written || !at_boundary(peer)) continue;
    write(peer, ws::encode_close(code, words_for(peer), mask_for(peer)).view());
    side(peer).close_written = true;
  }
  if (phase_ == Phase::settled) return;  // that could not be written, which has ended it
  phase_ = Phase::settled;
  record();
  std::uint32_t wait = linger_ms;
  unsigned looked_at = 0;
  for (const Peer peer : peers()) {
    Side& each = side(peer);
    if (!each.leg) continue;
    if (has_unsent(peer)) wait = linger_ms + route().close_timeout_ms.load(std::memory_order_relaxed);
    each.forget(&Rest::carry);
    if (peer != client) backend_side(peer).forget(&Rest::held);
    // Where it was read until nothing was left, the next edge tells.
    bool look = each.paused() || each.reading == Reading::later;
    each.stops = 0;
    if (each.reading != Reading::ended) each.reading = Reading::discard;
    if (peer != client && each.close_received && each.reading == Reading::discard && !has_unsent(peer)) {
      // Most backends send their FIN right behind their Close: if it is here, closing sends ours.
      const net::IoState state = each.at_end ? net::IoState::end : each.leg.discard();
      look = state == net::IoState::more;
      if (state == net::IoState::end || state == net::IoState::failed) each.reading = Reading::ended;
    }
    finish(peer);
    if (look || each.reading == Reading::ended) looked_at |= 1U << peer;
  }
  preamble_.reset();
  open_ping_.reset();
  if (throttle_ != nullptr) throttle_->stalled.reset();
  arm_closing_timer(wait);
  for (const Peer peer : peers()) {
    if ((looked_at >> peer & 1U) != 0) linger(peer);
  }
  drop(nobody);
}

// Each segment costs as much as several system calls.
void Session::cork_last_words(Peer to) noexcept {
  Side& destination = side(to);
  if (!destination.leg || !destination.close_received) return;
  destination.corked = true;
  destination.leg.cork();
}

void Session::uncork_if_open(Peer to) noexcept {
  if (to == nobody || (to == second && detour_ == nullptr) || !side(to).corked) return;
  side(to).corked = false;
  if (side(to).leg && !side(to).finished) side(to).leg.uncork();
}

// FIN behind what is still unsent.
void Session::finish(Peer to) noexcept {
  Side& destination = side(to);
  destination.finishing = true;
  if (!destination.leg || has_unsent(to) || destination.finished) return;
  destination.finished = true;
  if (phase_ == Phase::settled && destination.reading == Reading::ended) {
    destination.leg.finish_before_end();  // it is dropped by `linger`
  } else {
    destination.leg.finish_writing();
  }
}

// Reads and throws away until the peer's end, so that our last words are not lost to a reset.
void Session::linger(Peer peer) noexcept {
  Side& each = side(peer);
  if (!each.leg) return;
  if (each.reading == Reading::ended) {
    if (each.finished && (phase_ == Phase::settled || each.role == Role::leaving)) drop(peer);
    return;
  }
  switch (each.leg.discard()) {
    case net::IoState::drained:
      return;
    case net::IoState::more:
      shard().loop().requeue(*this, peer);
      return;
    case net::IoState::end:
      input_ended(peer, net::IoState::end);
      return;
    case net::IoState::failed:
      input_ended(peer, net::IoState::failed);
      return;
  }
}

// The leg is gone (`nobody`: none of them now); the session with the last one.
void Session::drop(Peer peer) noexcept {
  if (peer != nobody) {
    Side& each = side(peer);
    each.leg.reset();
    each.forget(&Rest::unsent);
    each.forget(&Rest::carry);
    if (peer != client) {
      if (peer == current_ && phase_ == Phase::closing) detour().latest = latest();  // for the record
      backend_side(peer).seat = {};
      backend_side(peer).forget(&Rest::held);
    }
    each.reading = Reading::ended;
    if (each.role == Role::leaving) each.role = Role::none;
    if (peer == current_ && phase_ != Phase::open) replay_.clear();
    // What it has sent meanwhile is still to be judged: its Close may be there. The edge is spent.
    const Peer source = source_for(peer);
    if (source != nobody && (peer == client || phase_ != Phase::open) && side(source).paused()) {
      side(source).stops = 0;
      if (side(source).leg) shard().loop().requeue(*this, source);
    }
  }
  if (phase_ != Phase::settled) return;
  for (const Peer each : peers()) {
    if (side(each).leg) return;
  }
  cancel();
  shard().retire(shard().handle_of(*this));
}

void Session::cut(Reason reason) noexcept {
  if (phase_ == Phase::open) {
    stay();
    abandon_reroute();
    begin_closing(reason, ClosedBy::proxy, 0);
  }
  if (phase_ == Phase::closing) {
    answer_ = {};
    phase_ = Phase::settled;
    record();
  }
  for (const Peer peer : peers()) {
    if (side(peer).leg) drop(peer);
  }
}

}  // namespace holdfast::session
