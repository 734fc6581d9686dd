// A subscriber's life, and what it says.

#include "feed/subscriber.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <utility>

#include "holdfast/net/socket.hpp"
#include "holdfast/ws/utf8.hpp"

namespace holdfast::feed {

namespace {
constexpr unsigned client_leg = 0;
constexpr unsigned own_turn = 1;  // of Loop::requeue: to be served again
constexpr int reads_per_turn = 4;
constexpr std::uint32_t linger_ms = 2'000;
// A client that asks and does not read is not read either.
constexpr std::size_t most_unread_answers = 4096;
// What waits for one client beyond its channels' data.
constexpr std::size_t most_answers = 1UL << 20;

/// It is asked to leave, and its own Close is waited for.
bool waits_for_the_client(Reason reason) noexcept {
  return reason != Reason::client_violation && reason != Reason::client_closed;
}

std::string_view words(Reason reason) noexcept {
  switch (reason) {
    case Reason::too_slow:
      return "too slow for this feed";
    case Reason::feed_gone:
      return "this feed is gone";
    case Reason::too_many_channels:
      return "too many channels";
    default:
      return {};
  }
}
}  // namespace

Subscriber::Subscriber(Audience& audience, Joining& joining)
    : started_(audience.shard().loop().now()),
      audience_(audience),
      feed_(*joining.feed),
      route_(*joining.route),
      open_sessions_(*joining.open_sessions),
      leg_(net::rehouse(std::move(joining.client))),
      listener_seat_(std::move(joining.listener_seat)),
      story_(joining.story),
      id_(joining.id),
      last_received_(started_),
      token_lasts_100ms_(joining.token_lasts_100ms),
      form_(joining.form) {}

Subscriber::~Subscriber() {
  leave_channels();
}

void Subscriber::start(Joining& joining) noexcept {
  open_sessions_.open.add(1);
  feed_.cells(pump_thread()).subscribers.add(1);
  if (is_packed(form_)) feed_.packed_wanted.fetch_add(1, std::memory_order_relaxed);
  if (!loop().add(*leg_, *this, client_leg)) {
    cut(Reason::internal);
    return;
  }
  leg_->limit_unsent();
  if (joining.speaks) {
    dialogue_ = std::make_unique<Dialogue>(*this, audience_);
    dialogue_->begin(joining.channels);
  } else {
    Channel& channel = audience_.channel(feed_, joining.channels.front(), {});
    if (const std::uint32_t number = follow(channel); channel.id != 0) begin(number);
  }
  if (phase_ == Phase::open) look(loop().now());
  consume(std::as_bytes(std::span(joining.early)));
  if (phase_ != Phase::gone && leg_->has_read_ahead()) read();
}

std::uint32_t Subscriber::follow(Channel& channel) {
  std::uint32_t number = dialogue_ == nullptr ? Subscription::none : dialogue_->free_number();
  if (number == Subscription::none) {
    number = static_cast<std::uint32_t>(subscriptions_.size());
    subscriptions_.emplace_back();
  }
  subscriptions_[number].channel = &channel;
  audience_.add(channel, *this, number);
  return number;
}

void Subscriber::unfollow(std::uint32_t subscription) noexcept {
  Subscription& place = subscriptions_[subscription];
  audience_.remove(*place.channel, place.place);
  if (place.due)
    due_.keep_if(subscriptions_.all(), [&](const Subscription& each) { return &each != &place; });
  place = {};
}

void Subscriber::opened(std::uint32_t subscription) noexcept {
  if (dialogue_ != nullptr) return dialogue_->opened(subscription);
  begin(subscription);
}

void Subscriber::refused(std::uint32_t subscription, const Refusal& why) {
  if (dialogue_ != nullptr && phase_ == Phase::open) dialogue_->refused(subscription, why);
}

void Subscriber::answered(const Answered& answer) {
  if (dialogue_ != nullptr && phase_ == Phase::open) dialogue_->answered(answer);
}

void Subscriber::begin(std::uint32_t subscription) noexcept {
  Subscription& place = subscriptions_[subscription];
  Channel& channel = *place.channel;
  place.next = joining_point(channel.log, channel.rules.join);
  place.fresh = channel.log.end();
  place.joined = true;
  // A stream that makes sense from a snapshot on only.
  place.held = dialogue_ != nullptr && channel.rules.join.kind == config::JoinKind::snapshot &&
               place.next == channel.log.end();
  if (place.held) audience_.renew(channel);
  if (place.next != channel.log.end()) mark_due(subscription);
}

void Subscriber::leave_channels() noexcept {
  for (Subscription& each : subscriptions_) {
    if (each.channel != nullptr) audience_.remove(*each.channel, each.place);
  }
  subscriptions_.clear();
  due_.clear();
}

void Subscriber::on_ready(unsigned which, net::Readiness ready) noexcept {
  if (leg_ == nullptr) return;
  if (which == own_turn) return after_pause();
  ending_ = ending_ || ready.ending;
  if (ready.dead) {
    if (phase_ == Phase::open) begin_closing(Reason::client_vanished, session::ClosedBy::client, 0);
    return settle();
  }
  if (ready.writable) flush();
  if (ready.readable && leg_ != nullptr) {
    if (phase_ == Phase::lingering) {
      linger();
    } else {
      read();
    }
  }
}

void Subscriber::read() noexcept {
  const std::span<std::byte> scratch = loop().scratch();
  if (throttled_ || !take_stalled()) return;
  for (int reads = 0; reads < reads_per_turn; ++reads) {
    if (leg_ == nullptr || phase_ == Phase::lingering) return;
    if (out_ != nullptr && out_->size() > most_unread_answers && !ending_) {
      unread_ = true;  // `flush` goes on
      return;
    }
    const net::IoResult got = leg_->read(scratch.subspan(net::Loop::carry_room));
    if (got.bytes > 0) {
      last_received_ = loop().now();
      std::size_t carried = 0;
      if (carry_ != nullptr) {
        carried = carry_->size();
        std::memcpy(scratch.data() + net::Loop::carry_room - carried, carry_->bytes().data(), carried);
        carry_.reset();
      }
      consume(scratch.subspan(net::Loop::carry_room - carried, carried + got.bytes));
    }
    if (leg_ == nullptr || throttled_) return;
    if (got.state == net::IoState::end || got.state == net::IoState::failed) return input_ended();
    if (got.state == net::IoState::drained && !ending_) return;
  }
  loop().requeue(*this, client_leg);
}

void Subscriber::consume(std::span<const std::byte> data) noexcept {
  session::Throttle* const limited = throttle();
  while (!data.empty() && leg_ != nullptr && !close_received_) {
    if (limited != nullptr && phase_ == Phase::open) {
      if (const auto excess = limited->excess_of(data, walker_, kind_of_pongs(), loop().now()))
        return too_fast(*limited, data, *excess);
    }
    const ws::Limits limits{route_.max_message.load(std::memory_order_relaxed),
                            is_packed(form_) ? ws::rsv1 : std::uint8_t{0}};
    const ws::Step step = walker_.next(data, limits);
    if (step.kind == ws::StepKind::need_more) {
      carry_ = loop().buffers().get(data.size());
      carry_->append(data);
      return;
    }
    if (step.kind == ws::StepKind::violation) {
      const bool too_big = step.violation == ws::Violation::message_too_big;
      end(too_big ? Reason::message_too_big : Reason::client_violation);
      close_received_ = true;  // nothing that it says from here on is taken
      return finish_if_done();
    }
    if (limited != nullptr && phase_ == Phase::open) limited->charge(step, kind_of_pongs());
    auto& flow = route_.cells(pump_thread()).flow(metrics::Direction::to_backend);
    from_client_.bytes += step.size;
    flow.bytes.add(step.size);
    if (step.starts_frame) {
      ++from_client_.frames;
      flow.frames[metrics::opcode_index(static_cast<std::uint8_t>(step.header.opcode))].add();
    }
    const std::span<const std::byte> bytes = data.first(step.size);
    data = data.subspan(step.size);
    if (step.kind == ws::StepKind::control) {
      control(bytes, step.header);
    } else {
      take_data(bytes, step);
    }
  }
}

void Subscriber::control(std::span<const std::byte> frame, const ws::FrameHeader& header) noexcept {
  const ws::ControlPayload payload = ws::control_payload(frame, header);
  if (header.opcode == ws::Opcode::ping) return say(ws::encode_pong(payload.view(), std::nullopt).view());
  if (header.opcode == ws::Opcode::pong) {
    ping_open_ = false;
    return;
  }
  close_received_ = true;
  const std::uint16_t code = ws::close_code(payload);
  if (phase_ == Phase::open) begin_closing(Reason::client_closed, session::ClosedBy::client, code);
  if (!close_written_) write_close(code, {});
  finish_if_done();
}

void Subscriber::take_data(std::span<const std::byte> bytes, const ws::Step& step) noexcept {
  const bool is_last = step.starts_frame ? step.header.fin : !walker_.message_open();
  const bool is_whole = is_last && walker_.at_message_boundary();
  if (is_whole) route_.cells(pump_thread()).flow(metrics::Direction::to_backend).messages.add();
  // Whole messages or nothing: a reload may change its mind within one.
  const bool begins = step.starts_frame && step.header.opcode != ws::Opcode::continuation;
  const bool forwards = feed_.hears.load(std::memory_order_relaxed) && phase_ == Phase::open;
  collects_ = forwards && (begins || collects_);
  if (!collects_) return incoming_.reset();
  if (step.starts_frame) {
    if (begins) {
      incoming_opcode_ = step.header.opcode;
      incoming_packed_ = step.header.rsv != 0;
      incoming_.reset();
    }
    mask_ = step.header.mask;
    mask_offset_ = 0;
    bytes = bytes.subspan(step.header.size);
  }
  const std::size_t begin = incoming_ == nullptr ? 0 : incoming_->size();
  const bool fits = begin + bytes.size() <= BufferPool::most_bytes;
  if (!fits || bytes.size() > audience_.shard().hold_memory_left()) return end(Reason::message_too_big);
  loop().buffers().append(incoming_, bytes);
  // It was appended at the end: unmasked in place.
  std::byte* const added = const_cast<std::byte*>(incoming_->bytes().data()) + begin;
  std::array<std::byte, 4> mask{};
  std::memcpy(mask.data(), &mask_, mask.size());
  for (std::size_t n = 0; n < bytes.size(); ++n) added[n] ^= mask[(mask_offset_ + n) & 3U];
  mask_offset_ = static_cast<std::uint8_t>((mask_offset_ + bytes.size()) & 3U);
  if (!is_whole) return;
  collects_ = false;
  message_is_whole();
}

void Subscriber::message_is_whole() noexcept {
  const BufferPtr message = std::move(incoming_);
  if (message == nullptr) return;
  std::span<const std::byte> bytes = message->bytes();
  Unpacker::Outcome plain;
  if (incoming_packed_) {
    plain = audience_.unpack(bytes, route_.max_message.load(std::memory_order_relaxed));
    if (plain.failure == Unpacker::Failure::too_big) return end(Reason::message_too_big);
    if (plain.failure == Unpacker::Failure::garbage) return end(Reason::client_violation);
    bytes = plain.message;
  }
  // The source would close the connection of all for it (RFC 6455 section 8.1).
  const bool is_legal = incoming_opcode_ != ws::Opcode::text || ws::is_utf8(bytes);
  if (!is_legal) return end(Reason::client_violation);
  if (dialogue_ != nullptr)
    return dialogue_->take({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  if (subscriptions_.empty()) return;
  audience_.forward(feed_, subscriptions_.front().channel, incoming_opcode_, {bytes.begin(), bytes.end()});
}

void Subscriber::tell(std::string_view text) noexcept {
  // It has asked, and does not take the answers.
  if (out_ != nullptr && out_->size() > most_answers) return end(Reason::too_slow);
  std::array<std::byte, ws::max_header_bytes> head{};
  ws::FrameHeader header;
  header.opcode = ws::Opcode::text;
  header.payload = text.size();
  const std::size_t size = ws::write_header(head, header);
  std::vector<std::byte> frame(head.begin(), head.begin() + static_cast<std::ptrdiff_t>(size));
  const auto payload = std::as_bytes(std::span(text.data(), text.size()));
  frame.insert(frame.end(), payload.begin(), payload.end());
  to_client_.frames += 1;
  to_client_.bytes += frame.size();
  auto& flow = route_.cells(pump_thread()).flow(metrics::Direction::to_client);
  flow.frames[metrics::opcode_index(static_cast<std::uint8_t>(header.opcode))].add();
  flow.messages.add();
  flow.bytes.add(frame.size());
  say(frame);
}

// First in, first out, in front of data that was not begun.
void Subscriber::say(std::span<const std::byte> frame) noexcept {
  if (close_written_ || leg_ == nullptr) return;
  if (!is_blocked()) {
    const net::IoResult sent = leg_->write(frame);
    if (sent.state == net::IoState::failed) return input_ended();
    frame = frame.subspan(sent.bytes);
    blocked_ = sent.state == net::IoState::drained;
  }
  if (!frame.empty()) loop().buffers().append(out_, frame);
}

void Subscriber::flush() noexcept {
  const bool was_blocked = is_blocked();
  const net::IoState kept = leg_->flush();
  if (kept == net::IoState::failed) return input_ended();
  blocked_ = kept == net::IoState::drained;
  if (blocked_) return;
  if (out_ != nullptr) {
    const net::IoResult sent = leg_->write(out_->bytes());
    out_->consume(sent.bytes);
    if (sent.state == net::IoState::failed) return input_ended();
    if (out_->empty()) {
      out_.reset();
    } else {
      blocked_ = true;
      return;
    }
  }
  if (phase_ == Phase::open) {
    if (was_blocked) conflate();
    after_pause();
    if (unread_) loop().requeue(*this, client_leg);
    unread_ = false;
  } else {
    finish_if_done();
  }
}

void Subscriber::write_close(std::uint16_t code, std::string_view why) noexcept {
  const ws::ControlFrame frame = ws::encode_close(code == 0 ? ws::close_code_none : code, why, std::nullopt);
  say(frame.view());
  close_written_ = true;
}

void Subscriber::begin_closing(Reason reason, session::ClosedBy who, std::uint16_t code) noexcept {
  assert(phase_ == Phase::open);
  phase_ = Phase::closing;
  reason_ = reason;
  closed_by_ = who;
  close_code_ = code;
  leave_channels();
  feed_.cells(pump_thread()).subscribers.add(-1);
  if (is_packed(form_)) feed_.packed_wanted.fetch_sub(1, std::memory_order_relaxed);
  if (reason == Reason::too_slow) feed_.cells(pump_thread()).too_slow.add();
  incoming_.reset();
  lift_throttle();  // its Close may be behind what waits, and close_timeout bounds the rest
  loop().timers().arm(*this, loop().now() + route_.close_timeout_ms.load(std::memory_order_relaxed));
}

void Subscriber::end(Reason reason) noexcept {
  if (phase_ != Phase::open) return;
  std::uint16_t code = ending(reason).to_client;
  if (reason == Reason::token_expired) {
    if (const auto wanted = route_.at_expiry.load(std::memory_order_relaxed); wanted != 0) code = wanted;
  }
  begin_closing(reason, session::ClosedBy::proxy, code);
  if (code != 0) write_close(code, words(reason));
  finish_if_done();
}

void Subscriber::end_at(Reason reason, Tick when) noexcept {
  if (phase_ != Phase::open) return;
  if (planned_ != Reason::none && static_cast<std::int32_t>(end_at_ - when) <= 0) return;
  planned_ = reason;
  end_at_ = when;
  look(loop().now());
}

void Subscriber::cut(Reason reason) noexcept {
  if (phase_ == Phase::open) begin_closing(reason, session::ClosedBy::proxy, 0);
  settle();
}

void Subscriber::input_ended() noexcept {
  if (phase_ == Phase::open) begin_closing(Reason::client_vanished, session::ClosedBy::client, 0);
  settle();
}

void Subscriber::finish_if_done() noexcept {
  if (phase_ != Phase::closing || out_ != nullptr || leg_->flush() == net::IoState::drained) return;
  if (waits_for_the_client(reason_) && !close_received_ && close_written_) return;
  phase_ = Phase::lingering;
  record();
  carry_.reset();
  forget_throttle();
  leg_->finish_writing();
  loop().timers().arm(*this, loop().now() + linger_ms);
  linger();
}

// Reads and throws away until the peer's end, so that our last words are not lost to a reset.
void Subscriber::linger() noexcept {
  switch (leg_->discard()) {
    case net::IoState::drained:
      return;
    case net::IoState::more:
      loop().requeue(*this, client_leg);
      return;
    case net::IoState::end:
    case net::IoState::failed:
      return settle();
  }
}

void Subscriber::settle() noexcept {
  if (phase_ == Phase::gone) return;
  if (phase_ == Phase::closing) record();
  phase_ = Phase::gone;
  forget_throttle();
  leg_.reset();
  out_.reset();
  carry_.reset();
  incoming_.reset();
  cancel();
  audience_.retire(*this);
}

void Subscriber::record() noexcept {
  const std::chrono::milliseconds duration{age_ms(loop().now())};
  const session::Shard::Surroundings& around = audience_.shard().surroundings();
  route_.cells(pump_thread()).end(reason_, close_code_);
  around.cells.session_duration.observe(duration);
  open_sessions_.open.add(-1);
  audience_.shard().session_ended();
  if (!around.access.wants_access_records()) return;
  auto entry = std::make_unique<session::AccessRecord>();
  entry->story = story_.unpack();
  entry->story.upstream = "feed:" + feed_.name();
  entry->route = route_.name();
  entry->duration = duration;
  entry->to_backend = from_client_;
  entry->to_client = to_client_;
  entry->close_code = close_code_;
  if (has_throttle_) entry->rate_pauses = audience_.throttle(*this).pauses;
  entry->reason = reason_;
  entry->closed_by = closed_by_;
  around.access.record(std::move(entry));
}

void Subscriber::check_invariants() const noexcept {
  assert((phase_ == Phase::open) == (reason_ == Reason::none));
  assert(phase_ == Phase::open || subscriptions_.empty());
  assert((phase_ == Phase::gone) == (leg_ == nullptr));
  if (dialogue_ != nullptr && phase_ == Phase::open) dialogue_->check_invariants();
  assert(!throttled_ || phase_ == Phase::open);
  for (const Subscription& each : subscriptions_) {
    if (!each.joined) continue;
    assert(each.next <= each.channel->log.end());
    assert(each.due || each.next == each.channel->log.end());
  }
}

session::SessionView Subscriber::view(Tick now) const {
  session::SessionView seen;
  seen.id = id_;
  seen.client = story_.client();
  seen.listener = story_.listener();
  seen.route = route_.name();
  seen.upstream = "feed:" + feed_.name();
  seen.state = phase_ == Phase::open ? "open" : "closing";
  seen.age_ms = age_ms(now);
  seen.to_backend = from_client_;
  seen.to_client = to_client_;
  return seen;
}

}  // namespace holdfast::feed
