// What a session does when time passes: pings, silence, age. One lazy timer; nothing here runs per message.

#include <algorithm>
#include <cstring>

#include "session/session.hpp"

namespace holdfast::session {

namespace {
// New limits of a reload are noticed within this time.
constexpr std::uint32_t longest_look_ms = 5'000;
// How long a leg is left alone before one ping finds out whether it answers any.
constexpr std::uint32_t first_ping_ms = 1'000;
// After something that could not be done now (a ping into a blocked leg).
constexpr std::uint32_t look_again_ms = 1'000;

// Marker and the tick it was sent at: our pongs are told from the peers', and carry their round-trip time.
struct PingPayload {
  std::uint64_t marker;
  Tick sent;
};
constexpr std::size_t ping_bytes = sizeof(std::uint64_t) + sizeof(Tick);

void sooner(std::uint32_t& wait, std::uint32_t candidate) noexcept {
  wait = std::min(wait, candidate);
}
}  // namespace

void Session::arm_closing_timer(std::uint32_t wait_ms) noexcept {
  shard().loop().timers().arm(*this, shard().loop().now() + wait_ms);
}

void Session::on_timer(Tick now) {
  if (phase_ == Phase::settled) {
    for (const Peer peer : peers()) {
      if (side(peer).leg) drop(peer);
    }
    return;
  }
  if (phase_ == Phase::closing) {
    // A half-closed client goes on receiving while something comes for it, within the session's limits.
    std::uint32_t wait = longest_look_ms;
    const std::uint32_t timeout = route().close_timeout_ms.load(std::memory_order_relaxed);
    const std::uint32_t left =
        feeding() == nobody ? 0 : remaining_ms(side(feeding()).last_received, timeout, now);
    if (!is_running() || !side(client).leg || left == 0) return settle();
    if (const Reason why = overdue(now, wait); why != Reason::none) return end(why);
    shard().loop().timers().arm(*this, now + std::max<std::uint32_t>(std::min(wait, left), 1));
    return;
  }
  look(now);
  check_if_asked();
}

void Session::forget_revoked_end() noexcept {
  if (planned_ == Reason::upstream_gone && upstream_state()->is_present()) planned_ = Reason::none;
}

std::uint32_t Session::token_left_ms(Tick now) const noexcept {
  const bool stays = route().at_expiry.load(std::memory_order_relaxed) == config::Jwt::stay;
  if (token_lasts_100ms_ == 0 || stays) return UINT32_MAX;
  const std::uint64_t end = std::uint64_t{token_lasts_100ms_} * 100;
  const std::uint64_t age = age_ms(now);
  return age >= end ? 0 : static_cast<std::uint32_t>(std::min<std::uint64_t>(end - age, UINT32_MAX));
}

Reason Session::overdue(Tick now, std::uint32_t& wait) noexcept {
  forget_revoked_end();
  if (planned_ != Reason::none) {
    if (static_cast<std::int32_t>(end_at_ - now) <= 0) return planned_;
    sooner(wait, elapsed_ms(now, end_at_));
  }
  if (token_left_ms(now) == 0) return Reason::token_expired;
  sooner(wait, token_left_ms(now));
  if (const std::uint32_t most = route().max_age_ms.load(std::memory_order_relaxed); most != 0) {
    const std::uint64_t age = age_ms(now);
    if (age >= most) return Reason::max_age;
    sooner(wait, static_cast<std::uint32_t>(most - age));
  }
  if (const std::uint32_t most = route().idle_timeout_ms.load(std::memory_order_relaxed); most != 0) {
    if (left_ms(last_data_, most, now) == 0) return Reason::idle;
    sooner(wait, left_ms(last_data_, most, now));
  }
  return Reason::none;
}

void Session::look_soon() noexcept {
  // Not at once: this is called from within a write, where a Close may be half on its way.
  if (phase_ == Phase::open) shard().loop().timers().arm(*this, shard().loop().now());
}

// What only a session at work needs.
void Session::give_back() noexcept {
  for (const Peer peer : peers()) side(peer).give_back();
  replay_.give_back();
}

void Session::look(Tick now) noexcept {
  std::uint32_t wait = longest_look_ms;
  if (has_wrapped(now)) ++wraps_;
  aged_at_ = now;
  if (elapsed_ms(last_data_, now) >= longest_look_ms) give_back();
  if (throttle_ != nullptr) look_at_throttle(now, wait);
  if (const Reason why = overdue(now, wait); why != Reason::none) return end(why);
  // What a dead backend has sent goes to its client, however slow that one is; but where the session ends
  // with it, only as long as the client takes some of it now and then.
  const bool goes_on = former_ != nobody || breaking_ || can_reroute(Cause::lost);
  const bool ends_with_it = !goes_on || side(client).ending;
  if (feeding() != nobody && side(feeding()).ending && side(feeding()).paused()) {
    const std::uint32_t timeout = route().close_timeout_ms.load(std::memory_order_relaxed);
    const std::uint32_t left =
        remaining_ms(side(client).last_taken, ends_with_it ? timeout : client_stuck_ms, now);
    if (left > 0) {
      sooner(wait, left);
    } else if (ends_with_it) {
      return lost(feeding());
    } else if (former_ == nobody && !breaking_) {
      let_it_finish();
      if (phase_ != Phase::open) return;
    }
  }
  for (const Peer peer : peers()) {
    if (peer != client && peer != current_)
      continue;  // a look at the client may have changed the current one
    // A new leg that is not read yet can't be told from a silent one; its time begins with its first read.
    if (side(peer).reading == Reading::later) continue;
    look_at_leg(peer, now, wait);
    if (phase_ != Phase::open) return;
  }
  judge_leg_age(now, wait);
  look_at_reroute(now, wait);
  if (phase_ == Phase::open) shard().loop().timers().arm(*this, now + std::max<std::uint32_t>(wait, 1));
}

// SESSIONS.md promise 8 and section 2.
void Session::look_at_leg(Peer peer, Tick now, std::uint32_t& wait) noexcept {
  const std::uint32_t interval = route().ping_interval_ms.load(std::memory_order_relaxed);
  const std::uint32_t timeout = route().ping_timeout_ms.load(std::memory_order_relaxed);
  Side& leg_side = side(peer);
  if (unacknowledged_for(peer, timeout, now)) return lost(peer);
  if (leg_side.in_flight) sooner(wait, std::min(timeout, look_again_ms));
  if (interval == 0) return;
  if (leg_side.ping_open) {
    // In the same millisecond means after it: nothing had come for an interval before.
    const auto heard = [&] {
      return static_cast<std::int32_t>(leg_side.last_received - leg_side.ping_at) >= 0;
    };
    const std::uint32_t left = remaining_ms(leg_side.ping_at, timeout, now);
    if (!heard() && left > 0) return sooner(wait, std::min(left, interval));
    // Where this thread was late, the answer may be waiting in the socket.
    if (!heard()) pump(peer);
    if (phase_ != Phase::open || !leg_side.leg || (peer != client && peer != current_)) return;
    leg_side.ping_open = false;
    if (!heard() && !leg_side.paused()) {
      if (leg_side.ping_answered) return lost(peer);
      if (peer != client) shard().warn_mute_to_pings(backend_side(peer).seat.backend());
      leg_side.last_received = now;  // asked again after another interval
    }
  }
  // Spread, so that sessions that began together don't ping together: up to a tenth later.
  const std::uint32_t due = interval + (shard().handle_of(*this).index * 2654435761U) % (interval / 10 + 1);
  if (const std::uint32_t left = left_ms(leg_side.last_received, due, now); left > 0) {
    const std::uint32_t young = left_ms(leg_side.since, first_ping_ms, now);
    const bool unknown = leg_side.ping_at == 0 && !leg_side.ping_answered;
    if (!unknown || young > 0) return sooner(wait, unknown ? std::min(left, young) : left);
    // A busy leg is never silent enough for a ping, until it hangs: then it must be known that it would
    // answer.
  }
  // A forwarded ping that was never answered is given up after a timeout, or it would end our own for good.
  if (left_ms(leg_side.last_received, due + timeout, now) == 0) leg_side.relayed_ping_open = false;
  const bool can_send =
      !leg_side.relayed_ping_open && !has_unsent(peer) && !leg_side.paused() && at_boundary(peer);
  if (!can_send) return sooner(wait, look_again_ms);
  send_ping(peer, now);
  sooner(wait, std::min(timeout, interval));  // it may be answered, and the next one due, before its timeout
}

void Session::send_ping(Peer to, Tick now) noexcept {
  const PingPayload payload{shard().surroundings().ping_marker, now};
  std::array<std::byte, ping_bytes> bytes;
  std::memcpy(bytes.data(), &payload.marker, sizeof payload.marker);
  std::memcpy(bytes.data() + sizeof payload.marker, &payload.sent, sizeof payload.sent);
  Side& destination = side(to);
  destination.ping_open = true;
  if (destination.pings_unanswered < UINT8_MAX) ++destination.pings_unanswered;
  destination.ping_at = now;
  // Its acknowledgement is watched for from now on, also beyond `timeout`: a leg that never answered pings
  // can only be given up by that.
  destination.in_flight = true;
  destination.in_flight_since = now;
  write(to, ws::encode_ping(bytes, mask_for(to)).view());
}

bool Session::pong_is_ours(Peer from, const ws::ControlPayload& payload) noexcept {
  if (payload.size != ping_bytes) return false;
  PingPayload got{};
  std::memcpy(&got.marker, payload.bytes.data(), sizeof got.marker);
  std::memcpy(&got.sent, payload.bytes.data() + sizeof got.marker, sizeof got.sent);
  // The marker is no secret (every peer has seen it): a pong is ours only while one of our pings is
  // unanswered.
  Side& source = side(from);
  if (got.marker != shard().surroundings().ping_marker || source.pings_unanswered == 0) return false;
  --source.pings_unanswered;
  source.ping_answered = true;
  if (got.sent == source.ping_at) {
    shard().surroundings().cells.ping_rtt.observe(Milliseconds(elapsed_ms(got.sent, shard().loop().now())));
    source.ping_open = false;
    source.pings_unanswered = 0;  // a peer may answer the latest one only (RFC 6455 section 5.5.3)
  }
  return true;
}

// Data was in flight at an earlier look, and since then no acknowledgement has come for `timeout`: the host
// is gone. A peer with a closed window that answers probes acknowledges, so it is slow, not dead.
bool Session::unacknowledged_for(Peer peer, std::uint32_t timeout_ms, Tick now) noexcept {
  Side& leg_side = side(peer);
  const bool suspicious =
      leg_side.in_flight || has_unsent(peer) || leg_side.ping_open || leg_side.relayed_ping_open;
  if (!suspicious || !leg_side.leg) {
    leg_side.in_flight = false;
    return false;
  }
  const net::Liveness state = leg_side.leg.liveness();
  const bool waiting = state.unacknowledged > 0 || state.unanswered_probes >= 3;
  if (!waiting) {
    leg_side.in_flight = false;
    return false;
  }
  if (!leg_side.in_flight || state.since_last_ack_ms < elapsed_ms(leg_side.in_flight_since, now)) {
    leg_side.in_flight = true;
    leg_side.in_flight_since = now;
    return false;
  }
  return elapsed_ms(leg_side.in_flight_since, now) >= timeout_ms;
}

// A leg that died without an end we could read.
void Session::lost(Peer peer) noexcept {
  input_ended(peer, net::IoState::failed);
}

}  // namespace holdfast::session
