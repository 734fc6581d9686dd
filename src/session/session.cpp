#include "session/session.hpp"

#include <cassert>
#include <cstring>

namespace holdfast::session {

namespace {
// Reads of one leg in one turn; then the others get theirs.
constexpr int reads_per_turn = 4;
}  // namespace

Session::Session(Shard& shard, Handover& handover) noexcept
    : shard_(shard),
      route_(*handover.route),
      cells_(handover.route->cells(shard.surroundings().pump_thread)),
      open_sessions_(*handover.open_sessions),
      seat_(std::move(handover.seat)),
      listener_seat_(std::move(handover.listener_seat)),
      story_(std::move(handover.story)),
      sides_{Side(ws::Sender::client), Side(ws::Sender::server)},
      started_(shard.loop().now()),
      last_data_(started_),
      allowed_rsv_(handover.allowed_rsv) {
  side(client).leg = std::move(handover.client);
  side(backend).leg = std::move(handover.backend);
  for (Side& each : sides_) each.last_received = started_;
}

void Session::start(Handle self, Handover& handover) noexcept {
  self_ = self;
  open_sessions_.open.add(1);
  net::Loop& loop = shard_.loop();
  if (!loop.add(*side(client).leg, *this, client) || !loop.add(*side(backend).leg, *this, backend)) {
    cut(Reason::internal);
    return;
  }
  look(loop.now());
  consume(client, std::as_bytes(std::span(handover.early_to_backend)));
  consume(backend, std::as_bytes(std::span(handover.early_to_client)));
  // The edges of what arrived before the registration are spent.
  pump(client);
  pump(backend);
  check_invariants();
}

void Session::on_ready(unsigned which, net::Readiness ready) noexcept {
  const auto peer = static_cast<Peer>(which);
  Side& ready_side = side(peer);
  if (ready_side.leg == nullptr) return;  // an event of the same turn came before its end
  if (ready.ending && !ready_side.ending) {
    ready_side.ending = true;
    if (ready_side.paused) end_soon();
  }
  // It has sent all, or (a client) it will never hear of what the backend does not take: nothing is left to
  // be read before this. What a dead backend has sent still goes to the client, as fast as that one reads.
  if (ready.dead && (ready_side.reading == Reading::ended || (ready_side.paused && peer == client))) {
    lost(peer);
    return;
  }
  if (ready.writable) flush(peer);
  if (ready.readable && ready_side.leg != nullptr) pump(peer);
  check_invariants();
}

void Session::pump(Peer from) noexcept {
  Side& source = side(from);
  const std::span<std::byte> scratch = shard_.loop().scratch();
  bool drained_before = false;
  for (int reads = 0; reads < reads_per_turn; ++reads) {
    if (source.leg == nullptr || source.paused || source.reading == Reading::ended) return;
    if (source.reading == Reading::discard) {
      linger(from);
      return;
    }
    const net::IoResult got = source.leg->read(scratch.subspan(net::Loop::carry_room));
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
  shard_.loop().requeue(*this, from);
}

void Session::receive(Peer from, std::span<std::byte> scratch, std::size_t bytes) noexcept {
  Side& source = side(from);
  source.last_received = shard_.loop().now();
  std::size_t carried = 0;
  if (source.carry != nullptr) {
    carried = source.carry->size();
    std::memcpy(scratch.data() + net::Loop::carry_room - carried, source.carry->bytes().data(), carried);
    source.carry.reset();
  }
  consume(from, scratch.subspan(net::Loop::carry_room - carried, carried + bytes));
}

ws::Limits Session::limits(Peer from) const noexcept {
  const auto& most = from == client ? route_.max_message : route_.max_message_to_client;
  return {most.load(std::memory_order_relaxed), allowed_rsv_};
}

metrics::RouteCells::Flow& Session::flow(Peer from) noexcept {
  return cells_.flow(from == client ? metrics::Direction::to_backend : metrics::Direction::to_client);
}

void Session::count(Peer from, const ws::Step& step) noexcept {
  if (!step.starts_frame) return;
  ++side(from).traffic.frames;
  metrics::RouteCells::Flow& counters = flow(from);
  counters.frames[metrics::opcode_index(static_cast<std::uint8_t>(step.header.opcode))].add();
  if (step.kind == ws::StepKind::data && step.header.fin) counters.messages.add();
}

// Whole runs of forwardable frames go out in one write; `begin` is where the unwritten run starts.
void Session::consume(Peer from, std::span<const std::byte> data) noexcept {
  Side& source = side(from);
  const Peer to = other(from);
  const ws::Limits allowed = limits(from);
  std::size_t begin = 0;
  std::size_t position = 0;
  const auto write_run = [&] {
    if (position == begin) return;
    source.traffic.bytes += position - begin;
    flow(from).bytes.add(position - begin);
    write(to, data.subspan(begin, position - begin));
    begin = position;
  };
  while (source.reading == Reading::frames) {
    const ws::Step step = source.walker.next(data.subspan(position), allowed);
    if (step.kind == ws::StepKind::need_more) break;
    if (step.kind == ws::StepKind::violation) {
      write_run();
      violated(from, step.violation);
      return;
    }
    count(from, step);
    if (step.kind == ws::StepKind::control) {
      const auto frame = data.subspan(position, step.size);
      if (!passes(from, frame, step.header)) {
        write_run();
        begin = position += step.size;
        continue;
      }
      position += step.size;
      if (step.header.opcode != ws::Opcode::close) continue;
      write_run();
      close_came(from, frame, step.header);
      return;
    }
    last_data_ = shard_.loop().now();
    position += step.size;
    if (side(to).close_due != 0 && source.walker.at_frame_boundary()) {
      write_run();
      write_due_close(to);
    }
  }
  write_run();
  if (source.reading == Reading::frames && position < data.size()) keep(from, data.subspan(position));
}

// Our own pongs stay here; everything else is the peers' business.
bool Session::passes(Peer from, std::span<const std::byte> frame, const ws::FrameHeader& header) noexcept {
  if (header.opcode == ws::Opcode::ping) {
    side(other(from)).relayed_ping_open = true;
    return true;
  }
  if (header.opcode != ws::Opcode::pong) return true;
  if (pong_is_ours(from, ws::control_payload(frame, header))) return false;
  side(from).relayed_ping_open = false;
  return true;
}

void Session::keep(Peer from, std::span<const std::byte> rest) noexcept {
  side(from).carry = shard_.loop().buffers().get(rest.size());
  side(from).carry->append(rest);
}

void Session::write(Peer to, std::span<const std::byte> bytes) noexcept {
  Side& destination = side(to);
  if (destination.leg == nullptr || destination.write_broken || destination.close_written ||
      destination.finishing) {
    return;
  }
  if (destination.unsent != nullptr) {
    destination.unsent->append(bytes);
    return;
  }
  const net::IoResult sent = destination.leg->write(bytes);
  if (sent.state == net::IoState::failed) {
    write_failed(to);
    return;
  }
  if (sent.bytes == bytes.size()) return;
  destination.unsent = shard_.loop().buffers().get(BufferPool::large_bytes);
  destination.unsent->append(bytes.subspan(sent.bytes));
  destination.last_taken = shard_.loop().now();
  side(other(to)).paused = true;
  if (side(other(to)).ending) end_soon();
}

void Session::flush(Peer to) noexcept {
  Side& destination = side(to);
  if (destination.unsent != nullptr) {
    const net::IoResult sent = destination.leg->write(destination.unsent->bytes());
    destination.unsent->consume(sent.bytes);
    if (sent.bytes > 0) destination.last_taken = shard_.loop().now();
    if (sent.state == net::IoState::failed) {
      write_failed(to);
      return;
    }
    if (!destination.unsent->empty()) return;
    destination.unsent.reset();
  }
  if (destination.finishing && !destination.finished) {
    finish(to);
    if (phase_ == Phase::settled) linger(to);
  }
  resume(other(to));
}

void Session::resume(Peer from) noexcept {
  if (!side(from).paused) return;
  side(from).paused = false;
  pump(from);
}

std::optional<ws::Mask> Session::mask_for(Peer to) noexcept {
  if (to == client) return std::nullopt;
  return shard_.random();
}

void Session::check_invariants() const noexcept {
#ifndef NDEBUG
  for (const Peer peer : {client, backend}) {
    assert(side(other(peer)).paused == (side(peer).unsent != nullptr) || phase_ == Phase::settled);
    assert(!(side(peer).finished && side(peer).unsent != nullptr));
  }
  assert((phase_ == Phase::open) == (reason_ == Reason::none));
#endif
}

}  // namespace holdfast::session
