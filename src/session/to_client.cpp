// The pump towards the client: whole runs of frames go out in one write. What is not whole yet is kept back
// (a frame, or with hold_unit "message" a fragmented message), so that a backend that dies in the middle of
// it leaves nothing half-said (SESSIONS.md promise 3). What is larger than hold_bytes is streamed.

#include <algorithm>
#include <cassert>

#include "session/session.hpp"

namespace holdfast::session {

// The bytes of one read on their way to the client, split into what is written and the unit (frame or
// message) that is not whole yet.
class Session::ClientRun {
 public:
  ClientRun(Session& session, Peer from, std::span<const std::byte> data) noexcept
      : session_(session),
        source_(session.backend_side(from)),
        data_(data),
        by_message_(session.route().hold_unit.load(std::memory_order_relaxed) == config::HoldUnit::message) {}

  [[nodiscard]] std::span<const std::byte> rest() const noexcept { return data_.subspan(position_); }
  /// Some of a message has gone to the client, once `stop` was called. What is kept back may yet be lost.
  [[nodiscard]] bool gave_some() const noexcept { return gave_some_; }
  [[nodiscard]] bool unit_done() const noexcept {
    return by_message_ ? source_.walker.at_message_boundary() : source_.walker.at_frame_boundary();
  }

  /// The next bytes are data of the walker's last step.
  void pass(std::size_t size) noexcept {
    position_ += size;
    if (source_.waiting(&Rest::held) != nullptr) return add_to_held();
    if (unit_done()) end_unit();
  }
  /// A control frame that goes along with the data around it.
  void pass_control(std::size_t size) noexcept {
    if (source_.waiting(&Rest::held) == nullptr && unit_ == position_) {
      unit_ = position_ += size;
      return;
    }
    // In the middle of a message that is kept back: it goes ahead.
    const auto frame = data_.subspan(position_, size);
    stop();
    position_ += size;
    begin_ = unit_ = position_;
    session_.to_client_.bytes += size;
    session_.flow(first).bytes.add(size);
    session_.write(client, frame);
  }
  /// Bytes that the client does not get.
  void skip(std::size_t size) noexcept {
    write_whole();
    if (unit_ < position_) stop();
    position_ += size;
    begin_ = unit_ = position_;
  }
  /// Everything that is whole goes out.
  void write_whole() noexcept {
    if (unit_ == begin_) return;
    send(data_.subspan(begin_, unit_ - begin_));
    begin_ = unit_;
  }
  /// All that may go out has gone, the rest is kept back or streamed: at the end, and before a frame of ours.
  void stop() noexcept {
    write_whole();
    if (unit_ == position_) return;
    const auto part = data_.subspan(unit_, position_ - unit_);
    const std::uint64_t known = part.size() + source_.walker.frame_remaining();
    if (!is_streaming() && session_.may_hold(known)) {
      source_.room_for(&Rest::held) = session_.shard().loop().buffers().get(static_cast<std::size_t>(known));
      source_.waiting(&Rest::held)->append(part);
    } else {
      send(part);
      note_streamed();
    }
    begin_ = unit_ = position_;
  }

 private:
  [[nodiscard]] bool is_streaming() const noexcept {
    return by_message_ ? source_.given != Given::whole_ones : source_.given == Given::part_of_frame;
  }
  void end_unit() noexcept {
    gave_some_ = true;
    unit_ = position_;
    source_.given = source_.walker.message_open() ? Given::part_of_message : Given::whole_ones;
  }
  void note_streamed() noexcept {
    gave_some_ = true;
    const bool inside_frame = !source_.walker.at_frame_boundary();
    source_.given = inside_frame                    ? Given::part_of_frame
                    : source_.walker.message_open() ? Given::part_of_message
                                                    : Given::whole_ones;
  }
  void send(std::span<const std::byte> bytes) noexcept {
    session_.to_client_.bytes += bytes.size();
    session_.flow(first).bytes.add(bytes.size());
    session_.write(client, bytes);
  }
  void add_to_held() noexcept {
    const auto part = data_.subspan(begin_, position_ - begin_);
    begin_ = unit_ = position_;
    const std::uint64_t known =
        source_.waiting(&Rest::held)->size() + part.size() + source_.walker.frame_remaining();
    const bool fits = known <= source_.waiting(&Rest::held)->capacity() || session_.may_hold(known);
    session_.shard().loop().buffers().append(source_.room_for(&Rest::held), part);
    if (unit_done()) {
      session_.write_held(source_);
      end_unit();
    } else if (!fits) {
      session_.write_held(source_);
      note_streamed();
    }
  }

  Session& session_;
  BackendSide& source_;
  std::span<const std::byte> data_;
  std::size_t begin_ = 0;     ///< of what is neither written nor kept
  std::size_t unit_ = 0;      ///< of the unit under way; begin_ ≤ unit_ ≤ position_
  std::size_t position_ = 0;  ///< what has been walked
  bool by_message_;
  bool gave_some_ = false;
};

void Session::consume_backend(Peer from, std::span<const std::byte> data) noexcept {
  BackendSide& source = backend_side(from);
  const ws::Limits allowed = limits(from);
  ClientRun run(*this, from, data);
  bool heard = false;
  while (source.reading == Reading::frames) {
    const bool is_plain =
        source.answers_to_swallow == 0 && answers_ >= preamble_answers_ && side(client).close_due == 0;
    if (is_plain) {
      const ws::WholeMessages whole = source.walker.whole_messages(run.rest(), allowed);
      if (whole.size != 0) {
        count(from, whole);
        heard = true;
        run.pass(whole.size);
      }
      if (run.rest().empty()) break;
    }
    const ws::Step step = source.walker.next(run.rest(), allowed);
    if (step.kind == ws::StepKind::need_more) break;
    if (step.kind == ws::StepKind::violation) {
      run.stop();
      violated(from, step.violation);
      return;
    }
    count(from, step);
    if (step.kind == ws::StepKind::control) {
      const auto frame = run.rest().first(step.size);
      if (step.header.opcode == ws::Opcode::close) {
        run.stop();
        if (run.gave_some()) note_answer(from);
        backend_close(from, frame, step.header);
        return;
      }
      if (step.header.opcode == ws::Opcode::ping) {
        side(client).relayed_ping_open = true;
      } else if (pong_is_ours(from, ws::control_payload(frame, step.header))) {
        run.skip(step.size);
        continue;
      } else {
        source.relayed_ping_open = false;
        open_ping_.reset();
      }
      run.pass_control(step.size);
      continue;
    }
    if (source.answers_to_swallow != 0) {  // it answers the preamble, nothing behind that
      run.skip(step.size);
      if (source.walker.at_message_boundary()) --source.answers_to_swallow;
      continue;
    }
    heard = true;
    run.pass(step.size);
    if (answers_ < preamble_answers_ && source.walker.at_message_boundary()) ++answers_;
    if (side(client).close_due != 0 && source.given != Given::part_of_frame) {
      run.stop();
      if (at_boundary(client)) write_due_close(client);
    }
  }
  run.stop();
  if (heard) last_data_ = shard().loop().now();
  if (run.gave_some()) note_answer(from);
  if (source.reading == Reading::frames && !run.rest().empty()) carry(from, run.rest());
}

// The client has some of a backend's message: what that had before is answered.
void Session::note_answer(Peer from) noexcept {
  if (from != current_) {
    detour().former_pending = 0;
    return;
  }
  // What the leg has not got whole can't be what it answers.
  answered_ = std::max(answered_, client_messages_ - replay_.unfinished_messages(stream_point()));
  if (!replay_.empty()) replay_.answered();
}

void Session::write_held(BackendSide& source) noexcept {
  const BufferPtr held = std::move(source.room_for(&Rest::held));
  to_client_.bytes += held->size();
  flow(first).bytes.add(held->size());
  write(client, held->bytes());
}

bool Session::may_hold(std::uint64_t bytes) noexcept {
  return bytes <= route().hold_bytes.load(std::memory_order_relaxed) && may_keep(bytes);
}

bool Session::may_keep(std::uint64_t bytes) noexcept {
  if (bytes <= shard().hold_memory_left()) return true;
  shard().surroundings().cells.hold_memory_spent.add();
  return false;
}

// Whether a Close may be the answer to our 1001. What came before that was read then, if it has not crossed
// ours; but whether its answers can still come is another matter: most libraries send nothing behind a Close.
bool Session::answers_ours(std::uint16_t code) noexcept {
  return code == 1000 || code == 1001 || code == ws::close_code_none;
}

// A Close ends the leg; whether it ends the session depends on who sends it and what it says (promise 4).
void Session::backend_close(Peer from, std::span<const std::byte> frame,
                            const ws::FrameHeader& header) noexcept {
  BackendSide& source = backend_side(from);
  const std::uint16_t code = ws::close_code(ws::control_payload(frame, header));
  source.close_received = true;
  if (from == former_) {
    former_done(from);
    return;
  }
  if (phase_ == Phase::closing && breaking_)
    return close_came(from, code);  // it answers ours, not the client's
  const bool expected = breaking_ && answers_ours(code);
  const bool ends_leg_only = expected || standby_ != nobody || route().is_going(code);
  if (phase_ == Phase::open && ends_leg_only && (breaking_ || can_reroute(Cause::closing))) {
    // Half a message that the client has can't be taken back (promise 3).
    if (source.given != Given::whole_ones) {
      if (at_boundary(from) && !has_unsent(from)) {
        write(from, ws::encode_close(code, {}, mask_for(from)).view());
        source.close_written = true;
      }
      return end(reason_of_cut(source.given));
    }
    detach(breaking_ ? reroute_.cause() : Cause::closing, code);
    return;
  }
  if (phase_ == Phase::open) stay();
  if (source.waiting(&Rest::held) != nullptr) write_held(source);
  to_client_.bytes += frame.size();
  flow(from).bytes.add(frame.size());
  cork_last_words(client);
  write(client, frame);
  side(client).close_written = true;
  side(client).close_due = 0;
  close_came(from, code);
  uncork_if_open(client);
}

}  // namespace holdfast::session
