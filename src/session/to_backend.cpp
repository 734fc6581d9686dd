// The pump towards the backend: whole runs of frames go out in one write; what the backend may have to get
// again is kept (replay.hpp).

#include <cassert>

#include "session/session.hpp"

namespace holdfast::session {

void Session::consume_client(std::span<const std::byte> data) noexcept {
  Side& source = side(client);
  const ws::Limits allowed = limits(client);
  Throttle* const limited = route().has_rates.load(std::memory_order_relaxed)
                                ? throttle()
                                : nullptr;  // nothing where there is none
  StreamPoint start = stream_point();
  std::size_t begin = 0;  // of the run that is not written yet
  std::size_t position = 0;
  const auto write_run = [&] {
    if (position == begin) return;
    to_backend_.bytes += position - begin;
    flow(client).bytes.add(position - begin);
    forward(data.subspan(begin, position - begin), start);
    begin = position;
    start = stream_point();
  };
  while (source.reading == Reading::frames) {
    if (limited != nullptr && position < data.size()) {
      const auto next = data.subspan(position);
      if (const auto excess =
              limited->excess_of(next, source.walker, kind_of_pongs(), shard().loop().now())) {
        write_run();
        return too_fast(*limited, next, *excess);
      }
    }
    if (limited == nullptr && takes_whole_runs()) {
      const ws::WholeMessages whole = source.walker.whole_messages(data.subspan(position), allowed);
      if (whole.size != 0) {
        count(client, whole);
        last_data_ = shard().loop().now();
        position += whole.size;
      }
      if (position == data.size()) break;
    }
    const ws::Step step = source.walker.next(data.subspan(position), allowed);
    if (step.kind == ws::StepKind::need_more) break;
    if (step.kind == ws::StepKind::violation) {
      write_run();
      violated(client, step.violation);
      return;
    }
    if (step.starts_frame && step.header.opcode == ws::Opcode::continuation &&
        !may_continue_message(step.header)) {
      write_run();
      return refuse(client, Reason::too_many_fragments);
    }
    if (limited != nullptr) limited->charge(step, kind_of_pongs());
    count(client, step);
    if (step.kind == ws::StepKind::control) {
      const auto frame = data.subspan(position, step.size);
      const bool closes = step.header.opcode == ws::Opcode::close;
      if (closes || !forwards_control(frame, step.header)) {
        write_run();
        begin = position += step.size;
        if (!closes) continue;
        client_close(frame, step.header);
        return;
      }
      position += step.size;
      continue;
    }
    if (continuity_ == Continuity::until_used && step.starts_frame && step.header.rsv != 0 && !compressed_)
      note_compressed();
    last_data_ = shard().loop().now();
    if (swallowing_) {  // since before this read: nothing of it is in a run
      begin = position += step.size;
      swallowing_ = !source.walker.at_message_boundary();
      start = stream_point();
      continue;
    }
    if (preamble_messages_ < preamble_wanted_) capture_preamble(data.subspan(position, step.size));
    position += step.size;
    if (standby_ != nobody && source.walker.at_message_boundary()) {
      write_run();
      try_switch();
      start = stream_point();
    } else if (current_ != nobody && side(current_).close_due != 0 && source.walker.at_frame_boundary()) {
      write_run();
      write_due_close(current_);
    }
  }
  write_run();
  if (source.reading == Reading::frames && position < data.size()) carry(client, data.subspan(position));
}

// Nothing happens between two messages.
bool Session::takes_whole_runs() const noexcept {
  return !swallowing_ && preamble_messages_ >= preamble_wanted_ && standby_ == nobody &&
         (current_ == nobody || side(current_).close_due == 0);
}

// Our own pongs stay here, and while there is no backend we answer in its place.
bool Session::forwards_control(std::span<const std::byte> frame, const ws::FrameHeader& header) noexcept {
  if (header.opcode == ws::Opcode::pong) {
    if (pong_is_ours(client, ws::control_payload(frame, header))) return false;
    side(client).relayed_ping_open = false;
    return !accumulates() && !swallowing_;
  }
  const ws::ControlPayload payload = ws::control_payload(frame, header);
  if (accumulates()) {
    // Only the latest Ping needs an answer (RFC 6455 section 5.5.3): Pongs don't pile up for a client that
    // takes none, nor where the old leg (break_first) is in the middle of a long frame.
    remember_ping(payload);
    if (!has_unsent(client)) answer_open_ping();
    return false;
  }
  remember_ping(payload);
  side(current_).relayed_ping_open = true;
  if (!swallowing_) return true;
  write(current_, frame);  // the run that is thrown away goes on behind it
  return false;
}

void Session::remember_ping(const ws::ControlPayload& payload) noexcept {
  open_ping_ = shard().loop().buffers().get(ws::max_control_payload);
  open_ping_->append(payload.view());
}

void Session::client_close(std::span<const std::byte> frame, const ws::FrameHeader& header) noexcept {
  const std::uint16_t code = ws::close_code(ws::control_payload(frame, header));
  if (phase_ == Phase::open) stay();  // a move that is not done is off
  // What it has said since the old leg had its Close needs the next one, and that one now.
  const bool needs_next = phase_ == Phase::open && breaking_ && !replay_.empty();
  if (needs_next && backend_side(current_).given == Given::whole_ones) detach(reroute_.cause());
  if (current_ != nobody && !breaking_) {
    to_backend_.bytes += frame.size();
    flow(client).bytes.add(frame.size());
    cork_last_words(current_);
    write(current_, frame);
    side(current_).close_written = true;
    side(current_).close_due = 0;
  }
  const Peer told = current_;
  close_came(client, code);
  uncork_if_open(told);
}

// The stream to the backend as the next leg would see it: the rest of a message that was given up is no part
// of it.
StreamPoint Session::stream_point() const noexcept {
  return swallowing_ ? StreamPoint{} : StreamPoint::of(side(client).walker);
}

// Client data is collected instead of written: there is no leg, or it has had its Close and the next one is
// not there yet.
bool Session::accumulates() const noexcept {
  return phase_ == Phase::open && (current_ == nobody || breaking_);
}

// With the memory for copies spent, messages under way are not kept, and those kept already are let go.
Replay::Rules Session::replay_rules() noexcept {
  if (!may_keep(1)) return {0, 0};
  return {route().hold_bytes.load(std::memory_order_relaxed),
          route().resend_unanswered.load(std::memory_order_relaxed)};
}

// `run` ends where the client's walker stands.
void Session::forward(std::span<const std::byte> run, StreamPoint start) noexcept {
  if (accumulates()) {
    if (current_ != nobody) backend_side(current_).given_bytes += static_cast<std::uint32_t>(run.size());
    replay_.queue(shard().loop().buffers(), run, start);
    judge_client_pause();
    return;
  }
  if (current_ == nobody || takes_no_more(current_)) return;
  BackendSide& leg = backend_side(current_);
  leg.given_bytes += static_cast<std::uint32_t>(run.size());
  if (replay_.blocked() || leg.write_broken) {
    replay_.queue(shard().loop().buffers(), run, start);
    side(client).pause(Stop::destination);
    return;
  }
  const net::IoResult sent = leg.leg.write(run);
  const bool simple = sent.bytes == run.size() && replay_.idle() && stream_point().at_message_boundary() &&
                      route().resend_unanswered.load(std::memory_order_relaxed) == 0;
  set_mark(leg);
  if (simple) return;
  replay_.wrote(shard().loop().buffers(), run, sent.bytes, start, replay_rules());
  if (replay_.blocked()) {
    leg.last_taken = shard().loop().now();
    side(client).pause(Stop::destination);
    if (side(client).ending) look_soon();
  }
  if (sent.state == net::IoState::failed) write_failed(current_);
}

void Session::set_mark(const BackendSide& leg) noexcept {
  marks_[next_mark_] = {leg.given_bytes, static_cast<std::uint32_t>(client_messages_)};
  static_assert(std::tuple_size_v<decltype(marks_)> == 4);
  next_mark_ = (next_mark_ + 1U) & 3U;
}

void Session::flush_replay() noexcept {
  Side& leg = side(current_);
  if (accumulates() || !replay_.blocked() || !leg.leg || leg.write_broken) return;
  const net::IoResult sent = leg.leg.write(replay_.unsent());
  if (sent.bytes > 0) {
    leg.last_taken = shard().loop().now();
    replay_.took(sent.bytes, replay_rules());
  }
  if (sent.state == net::IoState::failed) write_failed(current_);
}

// Wherever a resumed client can't be read at once, because somebody else's bytes are in the scratch.
void Session::judge_client_pause() noexcept {
  Side& source = side(client);
  const bool full = accumulates() ? replay_.size() >= route().hold_bytes.load(std::memory_order_relaxed) ||
                                        (replay_.size() > 0 && shard().hold_memory_left() == 0)
                                  : current_ != nobody && replay_.blocked();
  if (full) {
    if (!source.paused_for(Stop::destination) && source.ending) look_soon();
    source.pause(Stop::destination);
  } else if (source.paused_for(Stop::destination)) {
    source.resume(Stop::destination);
    if (source.leg) shard().loop().requeue(*this, client);
  }
}

// Whole messages only; one that does not fit into hold_bytes ends the collecting.
void Session::capture_preamble(std::span<const std::byte> bytes) noexcept {
  const std::size_t kept = preamble_ == nullptr ? 0 : preamble_->size();
  if (kept + bytes.size() > route().hold_bytes.load(std::memory_order_relaxed) || !may_keep(bytes.size())) {
    preamble_wanted_ = preamble_messages_;
    return;
  }
  shard().loop().buffers().append(preamble_, bytes);
  if (side(client).walker.at_message_boundary()) {
    ++preamble_messages_;
    preamble_end_ = static_cast<std::uint32_t>(preamble_->size());
  }
}

// Those of the first messages that the replay doesn't bring: each message once per leg.
std::span<const std::byte> Session::preamble_for_next_leg() const noexcept {
  if (preamble_messages_ == 0) return {};
  const std::uint64_t before_replay = client_messages_ - replay_.begun_messages();
  const auto whole = preamble_->bytes().first(preamble_end_);
  if (before_replay >= preamble_messages_) return whole;
  ws::Walker walker(ws::Sender::client);
  std::size_t end = 0;
  for (std::uint64_t n = 0; n < before_replay;) {
    const ws::Step step = walker.next(whole.subspan(end), {0, allowed_rsv_});
    assert(step.size > 0);
    end += step.size;
    if (walker.at_message_boundary()) ++n;
  }
  return whole.first(end);
}

}  // namespace holdfast::session
