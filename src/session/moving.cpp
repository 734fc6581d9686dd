// A planned move, make before break: a quiet point, the new leg, the switch, the old leg's last words
// (SESSIONS.md promise 11).

#include <algorithm>
#include <cassert>
#include <utility>

#include "session/session.hpp"

namespace holdfast::session {

namespace {
// Where a move found nobody.
constexpr std::uint32_t move_again_ms = 2'000;
// How long it is believed that there is another backend.
constexpr std::uint32_t place_found_ms = 1'000;

// Such an order holds as long as its backend's state does.
bool is_by_state(Cause cause) noexcept {
  return cause == Cause::draining || cause == Cause::removed || cause == Cause::unhealthy ||
         cause == Cause::disabled;
}
}  // namespace

std::optional<Cause> Session::wanted_elsewhere() const noexcept {
  const upstream::Backend* here = backend();
  if (here == nullptr || former_ != nobody) return std::nullopt;
  std::optional<Cause> most_urgent;
  const auto consider = [&](bool holds, Cause cause) {
    if (holds && can_reroute(cause)) most_urgent = cause;
  };
  consider(here->admin_state() == upstream::AdminState::draining, Cause::draining);
  consider(!here->is_member(), Cause::removed);
  consider(here->health() == upstream::Health::unhealthy, Cause::unhealthy);
  consider(here->admin_state() == upstream::AdminState::disabled, Cause::disabled);
  return most_urgent;
}

const char* Session::why_no_requested_move() const noexcept {
  if (phase_ != Phase::open) return "it is closing";
  if (!route().reroutes_on(Cause::requested)) return "reroute.on of its route lacks \"rebalance\"";
  if (current_ == nobody) return "it is without a backend and being rerouted";
  if (former_ != nobody) return "it is being moved: its old backend still has the word";
  if (!can_reroute(Cause::requested)) return "no other backend could go on with what its handshake agreed on";
  return nullptr;
}

bool Session::can_move(Cause cause) const noexcept {
  return can_reroute(cause) && current_ != nobody && former_ == nobody && !breaking_;
}

bool Session::order_move(Cause cause) noexcept {
  if (cause == Cause::disabled) note_disabled();
  if (!can_move(cause)) return false;
  if (ordered_ && urgency(*ordered_) >= urgency(cause)) return false;
  if (reroute_.is_leaving() && urgency(reroute_.cause()) >= urgency(cause)) return false;
  ordered_ = cause;
  shard().want_move(shard().handle_of(*this), upstream_state(), cause);
  return true;
}

bool Session::move(Cause cause) noexcept {
  ordered_.reset();
  if (!can_move(cause)) return false;
  // The backend may have come back while this waited for its turn.
  if (is_by_state(cause) && !wanted_elsewhere()) return false;
  const Tick now = shard().loop().now();
  const Reroute::State before = reroute_.state();
  if (before == Reroute::State::attached) {
    detour().tally = {};
    detour().place_found = false;
    move_tried_at_ = now;
    move_wait_ms_ = static_cast<std::uint16_t>(move_again_ms + shard().random() % move_again_ms);
  }
  const Reroute::Todo todo = reroute_.move_due(now, cause);
  if (todo == Reroute::Todo::ask) begin_move();
  perform(todo);
  look(now);
  return reroute_.state() != before;
}

bool Session::at_switching_point() const noexcept {
  return current_ != nobody && !replay_.blocked() && !side(current_).write_broken &&
         stream_point().at_message_boundary();
}

// Nothing is unanswered, nothing has been said for a while, and the client has it all.
bool Session::is_quiet(Tick now) const noexcept {
  return client_messages_ == answered_ && backend_side(current_).given == Given::whole_ones &&
         !has_unsent(client) &&
         elapsed_ms(last_data_, now) >= route().quiet_ms.load(std::memory_order_relaxed);
}

void Session::try_switch() noexcept {
  if (standby_ != nobody && at_switching_point()) switch_over();
}

// The new leg is dead before it was used: as if it had not come.
void Session::standby_ended() noexcept {
  const upstream::Backend* there = &backend_side(standby_).seat.backend();
  (void)reroute_.failed(shard().loop().now(), AttemptResult::no_way, there, shard().random(),
                        reroute_rules());
  note_reroute(RerouteResult::stayed, "the new leg ended before it was used");
  stay();
  look_soon();
}

void Session::switch_over() noexcept {
  const Tick now = shard().loop().now();
  answer_open_ping();
  if (phase_ != Phase::open) return;  // the client's leg was found dead
  former_ = current_;
  BackendSide& old = backend_side(former_);
  old.role = Role::former;
  old.seat.backend().count_reroute_from();
  detour().former_pending = client_messages_ - answered_;
  answered_ = client_messages_;
  replay_.clear();  // the old leg works: what it has is no more to be given again
  detour().moved = take_over();
  detour().paused_at = now;
  reroute_.switched(now);
  write(former_, ws::encode_close(going_away, {}, mask_for(former_)).view());
  if (former_ != nobody) side(former_).close_written = true;
  begin_leg(preamble_for_next_leg());
  look_soon();
}

// `break_first`: the old leg is closed before the next one is asked for; what the client says meanwhile is
// kept.
void Session::break_off() noexcept {
  breaking_ = true;
  detour().breaking_since = detour().paused_at = shard().loop().now();
  write_close_of_ours(current_);
}

void Session::write_close_of_ours(Peer to) noexcept {
  const ws::ControlFrame frame = ws::encode_close(going_away, {}, mask_for(to));
  const net::IoResult sent = side(to).leg.write(frame.view());
  if (sent.state == net::IoState::failed) {
    side(to).write_broken = true;
  } else if (sent.bytes < frame.view().size()) {
    shard().loop().buffers().append(side(to).room_for(&Rest::unsent), frame.view().subspan(sent.bytes));
  }
  side(to).close_written = true;
}

// The old leg has had its time. It gets more where the client is too slow for it to be read, and in the
// middle of what it says, as long as it goes on; others need not wait for the place of such a move.
void Session::hand_over() noexcept {
  const Tick now = shard().loop().now();
  const BackendSide& old = backend_side(former_);
  const std::uint32_t timeout = route().close_timeout_ms.load(std::memory_order_relaxed);
  const bool goes_on = old.given != Given::whole_ones && elapsed_ms(old.last_received, now) < timeout;
  if (!goes_on && !old.paused()) return former_done(former_);
  reroute_.more_time(now);
  end_move();
}

// A look comes every 5 s at least, so that the time of those that are not told begins, too.
void Session::note_disabled() noexcept {
  const upstream::Backend* here = backend();
  if (here != nullptr && here->admin_state() == upstream::AdminState::disabled) {
    reroute_.disabled(shard().loop().now(), here->times_disabled());
  } else {
    reroute_.not_disabled();
  }
}

// The disabled backend's time is over, for sessions that can't be moved, too. One that is being handed over
// to it is given to it first: the next look comes at once.
void Session::lose() noexcept {
  if (former_ != nobody) return former_done(former_);
  const Given given = backend_side(current_).given;
  const bool goes_on = given == Given::whole_ones && (breaking_ || can_reroute(Cause::lost));
  if (goes_on) return detach(Cause::disabled);
  end(reason_of_cut(given));
}

void Session::former_done(Peer peer) noexcept {
  BackendSide& old = backend_side(peer);
  if (old.given != Given::whole_ones) {
    const Reason cut = reason_of_cut(old.given);
    old.reading = Reading::ended;
    end(cut);
    return;
  }
  tell_moved();
  former_ = nobody;
  leave(peer);
  if (reroute_.state() == Reroute::State::handing_over) reroute_.former_done(shard().loop().now());
  end_move();
  if (current_ != nobody) feed_from(current_);
  if (phase_ == Phase::closing) settle_if_done();
  look_soon();
}

void Session::look_for_quiet(Tick now, std::uint32_t& wait) noexcept {
  if (is_by_state(reroute_.cause()) && !wanted_elsewhere()) return call_off("its backend is back");
  // Nor is a backend told to end what its client has stopped reading: it would not wait for that one.
  const bool stuck = has_unsent(client) && elapsed_ms(side(client).last_taken, now) >= client_stuck_ms;
  const bool point = at_switching_point() && (is_quiet(now) || (reroute_.settled_long_enough(now) && !stuck));
  if (!point || !shard().may_begin_move()) {
    const std::uint32_t quiet = route().quiet_ms.load(std::memory_order_relaxed);
    wait = std::min(wait, std::max(remaining_ms(last_data_, quiet, now), turn_again_ms));
    return;
  }
  begin_move();
  const Detour& way = detour();
  if (breaks_first() && way.place_found && elapsed_ms(way.place_found_at, now) < place_found_ms) {
    break_off();
  } else {
    perform(reroute_.quiet(now));
  }
}

// Urgent moves don't: the old backend is suspect, or has no time.
bool Session::breaks_first() const noexcept {
  return route().move.load(std::memory_order_relaxed) == config::MoveOrder::break_first && !reroute_.urgent();
}

// From here on only the present backend can read the client's messages (SESSIONS.md promise 6). Without one,
// or where it has had our Close, this message is the first that the next one reads.
void Session::note_compressed() noexcept {
  compressed_ = true;
  call_off("the client compresses with a context");
}

void Session::call_off(const char* why) noexcept {
  if (breaking_ || !reroute_.call_off(shard().loop().now())) return;
  withdraw_attempt();
  note_reroute(RerouteResult::stayed, why);
  stay();
}

void Session::begin_move() noexcept {
  assert(!move_counted_);
  move_counted_ = true;
  shard().move_began();
}

void Session::end_move() noexcept {
  if (!move_counted_) return;
  move_counted_ = false;
  shard().move_ended();
}

}  // namespace holdfast::session
