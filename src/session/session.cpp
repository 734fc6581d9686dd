#include "session/session.hpp"

#include <cassert>
#include <cstring>

namespace holdfast::session {

namespace {
// Reads of one leg in one turn; then the others get theirs.
constexpr int reads_per_turn = 4;

// Which is the same for all of a kind.
const Story& without_listener(Story& story) noexcept {
  story.listener.clear();
  return story;
}
}  // namespace

Session::Session(const Kind& kind, Handover& handover) noexcept
    : kind_(kind),
      reroute_(shard().loop().now()),
      continuation_(handover.continuation == nullptr ? nullptr : handover.continuation->copy()),
      story_(without_listener(handover.story)),
      listener_seat_(std::move(handover.listener_seat)),
      id_(handover.id),
      started_(shard().loop().now()),
      aged_at_(started_),
      last_data_(started_),
      token_lasts_100ms_(handover.token_lasts_100ms),
      preamble_wanted_(static_cast<std::uint8_t>(route().preamble.load(std::memory_order_relaxed))),
      preamble_answers_(static_cast<std::uint8_t>(route().preamble_answers.load(std::memory_order_relaxed))),
      allowed_rsv_(handover.allowed_rsv),
      continuity_(handover.continuity) {
  client_.leg = net::PumpLeg(std::move(handover.client));
  first_.leg = net::PumpLeg(std::move(handover.backend));
  first_.seat = std::move(handover.seat);
  first_.role = Role::current;
  in_circuit_ = handover.upstream_place.give_up();
  client_.since = client_.last_received = first_.since = first_.last_received = started_;
}

Session::~Session() {
  leave_circuit();
  set_stranded(false);
  withdraw_attempt();
  if (move_counted_) shard().move_ended();
  if (continuation_ != nullptr) {
    shard().surroundings().cells.stored_head_bytes.add(
        -static_cast<std::int64_t>(continuation_->stored_bytes()));
  }
}

void Session::start(Handover& handover) noexcept {
  kind_.open_sessions.open.add(1);
  if (continuation_ != nullptr) {
    shard().surroundings().cells.stored_head_bytes.add(
        static_cast<std::int64_t>(continuation_->stored_bytes()));
  }
  net::Loop& loop = shard().loop();
  if (!loop.add(client_.leg, *this, client) || !loop.add(first_.leg, *this, first)) {
    cut(Reason::internal);
    return;
  }
  look(loop.now());
  consume(client, std::as_bytes(std::span(handover.early_to_backend)));
  if (side(first).role == Role::current) consume(first, std::as_bytes(std::span(handover.early_to_client)));
  // The registration itself tells of what had arrived in the kernel (epoll_ctl(2)), not of what is here.
  for (const Peer peer : {client, first}) {
    if (side(peer).leg && side(peer).leg.has_read_ahead()) pump(peer);
  }
  // Its backend's state may have changed while it was on its way here.
  if (const auto cause = wanted_elsewhere()) (void)order_move(*cause);
  check_if_asked();
}

void Session::on_ready(unsigned which, net::Readiness ready) noexcept {
  const auto peer = static_cast<Peer>(which);
  if (peer == second && detour_ == nullptr) return;  // as below
  Side& ready_side = side(peer);
  if (!ready_side.leg) return;  // an event of the same turn came before its end
  if (ready.ending && !ready_side.ending) {
    ready_side.ending = true;
    if (ready_side.paused()) look_soon();
  }
  if (peer == standby_ && reroute_.state() == Reroute::State::switching && (ready.ending || ready.dead)) {
    standby_ended();
    check_if_asked();
    return;
  }
  // It has sent all, or (a client) it will never hear of what the backend does not take: nothing is left to
  // be read before this. What a dead backend has sent still goes to the client, as fast as that one reads.
  if (ready.dead && (ready_side.reading == Reading::ended || (ready_side.paused() && peer == client))) {
    lost(peer);
    return;
  }
  if (ready.writable) flush(peer);
  if (ready.readable && ready_side.leg) {
    if (waits_for_an_end(peer)) {
      shard().loop().requeue(*this, peer);
    } else {
      pump(peer);
    }
  }
  check_if_asked();
}

// Whether the turn has no time left for the end of this leg; or, for the client's messages, of the leg that
// they would be lost with.
bool Session::waits_for_an_end(Peer peer) noexcept {
  if (side(peer).ending) return !shard().has_time_for_an_end();
  return peer == client && current_ != nobody && side(current_).ending &&
         net::Loop::is_queued(*this, current_);
}

// What the client says is not for a dead leg that is only there because its client is slow to read.
bool Session::speaks_its_last() const noexcept {
  return current_ != nobody && side(current_).ending && side(current_).paused() && !breaking_ &&
         can_reroute(Cause::lost);
}

void Session::pump(Peer from) noexcept {
  Side& source = side(from);
  const std::span<std::byte> scratch = shard().loop().scratch();
  bool drained_before = false;
  for (int reads = 0; reads < reads_per_turn; ++reads) {
    if (!source.leg || source.paused() || source.reading == Reading::ended) return;
    if (source.reading == Reading::later) return;  // read from the start when its turn comes
    if (from == client && speaks_its_last()) {
      source.pause(Stop::destination);  // until the next leg is asked for
      return;
    }
    if (source.reading == Reading::discard) {
      linger(from);
      return;
    }
    if (from == client && throttle_ != nullptr && throttle_->stalled != nullptr) {
      take_stalled();
      continue;
    }
    const net::IoResult got = source.leg.read(scratch.subspan(net::Loop::carry_room));
    source.at_end = source.ending && got.state == net::IoState::drained && source.leg.is_bare();
    if (got.bytes > 0) receive(from, scratch, got.bytes);
    if (got.state == net::IoState::end || got.state == net::IoState::failed) {
      input_ended(from, got.state);
      return;
    }
    // A drained leg whose end was announced has one more read to show it, also if it gave nothing (half a TLS
    // record).
    if (got.state == net::IoState::drained) {
      if (!source.ending || drained_before) return;
      drained_before = true;
    }
  }
  shard().loop().requeue(*this, from);
}

void Session::receive(Peer from, std::span<std::byte> scratch, std::size_t bytes) noexcept {
  Side& source = side(from);
  source.last_received = shard().loop().now();
  std::size_t carried = 0;
  if (source.waiting(&Rest::carry) != nullptr) {
    carried = source.waiting(&Rest::carry)->size();
    std::memcpy(scratch.data() + net::Loop::carry_room - carried,
                source.waiting(&Rest::carry)->bytes().data(), carried);
    source.forget(&Rest::carry);
  }
  consume(from, scratch.subspan(net::Loop::carry_room - carried, carried + bytes));
}

void Session::consume(Peer from, std::span<const std::byte> data) noexcept {
  if (from == client) {
    consume_client(data);
  } else {
    consume_backend(from, data);
  }
}

ws::Limits Session::limits(Peer from) const noexcept {
  const auto& most = from == client ? route().max_message : route().max_message_to_client;
  return {most.load(std::memory_order_relaxed), allowed_rsv_};
}

metrics::RouteCells::Flow& Session::flow(Peer from) noexcept {
  return cells().flow(from == client ? metrics::Direction::to_backend : metrics::Direction::to_client);
}

void Session::count(Peer from, const ws::Step& step) noexcept {
  if (!step.starts_frame) return;
  ++traffic(from).frames;
  metrics::RouteCells::Flow& counters = flow(from);
  counters.frames[metrics::opcode_index(static_cast<std::uint8_t>(step.header.opcode))].add();
  if (step.kind != ws::StepKind::data || !step.header.fin) return;
  counters.messages.add();
  if (from == client && !swallowing_) ++client_messages_;
}

void Session::count(Peer from, const ws::WholeMessages& whole) noexcept {
  const std::uint32_t messages = whole.texts + whole.binaries;
  traffic(from).frames += messages;
  metrics::RouteCells::Flow& counters = flow(from);
  if (whole.texts != 0) counters.frames[metrics::opcode_index(1)].add(whole.texts);
  if (whole.binaries != 0) counters.frames[metrics::opcode_index(2)].add(whole.binaries);
  counters.messages.add(messages);
  if (from == client) client_messages_ += messages;
}

// An incomplete frame head or control frame, at most 130 bytes.
void Session::carry(Peer from, std::span<const std::byte> rest) noexcept {
  side(from).room_for(&Rest::carry) = shard().loop().buffers().get(rest.size());
  side(from).waiting(&Rest::carry)->append(rest);
}

bool Session::has_unsent(Peer to) const noexcept {
  return to == current_ && !breaking_ ? replay_.blocked() : side(to).waiting(&Rest::unsent) != nullptr;
}

bool Session::takes_no_more(Peer to) const noexcept {
  const Side& destination = side(to);
  return !destination.leg || destination.close_written || destination.finishing;
}

// Whole frames of ours to anybody, and everything to the client.
void Session::write(Peer to, std::span<const std::byte> bytes) noexcept {
  if (takes_no_more(to)) return;
  if (to == current_) {
    forward(bytes, stream_point());
    return;
  }
  Side& destination = side(to);
  if (destination.write_broken) return;
  if (destination.waiting(&Rest::unsent) != nullptr) {
    shard().loop().buffers().append(destination.room_for(&Rest::unsent), bytes);
    return;
  }
  const net::IoResult sent = destination.leg.write(bytes);
  if (sent.state == net::IoState::failed) {
    write_failed(to);
    return;
  }
  if (sent.bytes == bytes.size()) return;
  shard().loop().buffers().append(destination.room_for(&Rest::unsent), bytes.subspan(sent.bytes));
  destination.last_taken = shard().loop().now();
  if (to != client || feeding() == nobody) return;
  side(feeding()).pause(Stop::destination);
  if (side(feeding()).ending) look_soon();
}

void Session::flush(Peer to) noexcept {
  Side& destination = side(to);
  if (to == current_ && !breaking_) {
    flush_replay();
  } else if (destination.waiting(&Rest::unsent) != nullptr) {
    const net::IoResult sent = destination.leg.write(destination.waiting(&Rest::unsent)->bytes());
    destination.waiting(&Rest::unsent)->consume(sent.bytes);
    if (sent.bytes > 0) destination.last_taken = shard().loop().now();
    if (sent.state == net::IoState::failed) {
      write_failed(to);
      return;
    }
    if (destination.waiting(&Rest::unsent)->empty()) destination.forget(&Rest::unsent);
  }
  if (to == client && current_ == nobody && !has_unsent(client)) answer_open_ping();
  if (!destination.leg || has_unsent(to)) return;
  if (destination.finishing && !destination.finished) {
    finish(to);
    if (phase_ == Phase::settled || destination.role == Role::leaving) linger(to);
  }
  if (to == client && feeding() != nobody) resume(feeding());
  if (to == current_ && !breaking_) {
    if (standby_ != nobody) try_switch();
    resume(client);
  }
}

// Only at the top of a turn's work: it reads into the scratch.
void Session::resume(Peer from) noexcept {
  if (!side(from).paused_for(Stop::destination)) return;
  side(from).resume(Stop::destination);
  // What a leg may still say after our Close takes the time that its client needs for it.
  if (breaking_) detour().breaking_since = shard().loop().now();
  if (from == former_ && reroute_.state() == Reroute::State::handing_over)
    reroute_.more_time(shard().loop().now());
  pump(from);
}

bool Session::at_boundary(Peer to) const noexcept {
  if (to == client) return feeding() == nobody || backend_side(feeding()).given != Given::part_of_frame;
  return to != current_ || swallowing_ || side(client).walker.at_frame_boundary();
}

std::optional<ws::Mask> Session::mask_for(Peer to) noexcept {
  if (to == client) return std::nullopt;
  return shard().random();
}

const std::shared_ptr<upstream::Backend>& Session::latest() const noexcept {
  const bool has_one = current_ != nobody && backend_side(current_).seat;
  assert(has_one || detour_ != nullptr);
  return has_one ? backend_side(current_).seat.shared_backend() : detour_->latest;
}

const upstream::Backend* Session::backend() const noexcept {
  if (current_ == nobody || !backend_side(current_).seat) return nullptr;
  return &backend_side(current_).seat.backend();
}

unsigned Session::which(const net::Leg& leg) const noexcept {
  for (const Peer peer : peers()) {
    if (side(peer).leg.other() == &leg) return peer;
  }
  return nobody;
}

void Session::check_invariants() const noexcept {
  if (phase_ == Phase::settled) return;
  replay_.check_invariants();
  reroute_.check_invariants();
  assert(current_ == nobody || side(current_).role == Role::current);
  assert(former_ == nobody || side(former_).role == Role::former);
  assert(standby_ == nobody || side(standby_).role == Role::standby);
  for (const Peer peer : peers()) assert(!(side(peer).finished && has_unsent(peer)));
  if (feeding() != nobody && side(feeding()).reading == Reading::frames && side(client).leg)
    assert(side(feeding()).paused_for(Stop::destination) == (side(client).waiting(&Rest::unsent) != nullptr));
  for (const Peer peer : backend_peers()) assert(!side(peer).paused_for(Stop::rate));
  assert(throttle_ == nullptr || throttle_->stalled == nullptr || phase_ != Phase::open || client_.paused() ||
         net::Loop::is_queued(*this, client));
  assert((phase_ == Phase::open) == (reason_ == Reason::none));
  // A hand-over that takes long gives its place back early.
  if (phase_ == Phase::open && current_ != nobody && reroute_.state() != Reroute::State::handing_over)
    assert(move_counted_ == (breaking_ || reroute_.state() >= Reroute::State::moving));
}

}  // namespace holdfast::session
