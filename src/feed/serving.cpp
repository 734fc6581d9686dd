// What a subscriber gets: the hot path of a feed. One plan and one send per subscriber and turn.

#include <algorithm>
#include <utility>

#include "feed/subscriber.hpp"

namespace holdfast::feed {

namespace {
constexpr std::size_t most_bytes_per_send = 64UL * 1024;
}

void Subscriber::mark_due(std::uint32_t subscription) {
  Subscription& place = subscriptions_[subscription];
  if (!place.joined) return;
  if (place.held) {
    place.next = place.channel->log.latest_snapshot();
    if (place.next == place.channel->log.end()) return;
    place.held = false;
  }
  due_.push(subscriptions_.all(), subscription);
  if (is_blocked()) return watch();
  if (waits_ || phase_ != Phase::open) return;
  waits_ = true;
  audience_.serve(*this);
}

bool Subscriber::plan(Plan& plan) noexcept {
  waits_ = false;
  plan.piece_count = 0;
  plan.bytes = 0;
  if (phase_ != Phase::open || is_blocked()) return false;
  plan.room = leg_->is_bare() ? most_bytes_per_send : net::Leg::most_sealed_bytes;
  bool goes_on = true;
  due_.walk(subscriptions_.all(), [&](std::uint32_t number) {
    Subscription& place = subscriptions_[number];
    const Channel& channel = *place.channel;
    // Fallen out of the ring while it was blocked.
    goes_on = place.next >= channel.log.begin() || help(place, channel.rules.on_lag);
    return goes_on && (place.next >= channel.log.end() || add(plan, number));
  });
  if (phase_ != Phase::open || is_blocked()) return false;
  if (plan.bytes == 0) due_.keep_if(subscriptions_.all(), [](const Subscription&) { return false; });
  return plan.bytes != 0;
}

// False: there is no room for more.
bool Subscriber::add(Plan& plan, std::uint32_t number) {
  Subscription& place = subscriptions_[number];
  if (place.missed != 0) {
    dialogue_->tell_gap(*place.channel, std::exchange(place.missed, 0));
    if (phase_ != Phase::open || is_blocked()) return false;
  }
  const auto& helping =
      audience_.helping(*place.channel, place.next, form_, reader(), plan.room - plan.bytes);
  if (plan.piece_count + helping.piece_count > most_pieces) return false;
  if (plan.bytes != 0 && plan.bytes + helping.bytes > plan.room) return false;
  if (helping.piece_count == 0) {  // all of it is its own
    place.next = helping.next;
    return true;
  }
  for (std::size_t n = 0; n < helping.piece_count; ++n) plan.pieces[plan.piece_count++] = helping.pieces[n];
  plan.steps.push_back({number, place.next, helping.next, helping.bytes});
  plan.bytes += helping.bytes;
  return plan.bytes < plan.room;
}

void Subscriber::served(std::span<const Step> steps, std::size_t bytes, net::IoResult result) noexcept {
  if (result.state == net::IoState::failed) return input_ended();
  blocked_ = result.state == net::IoState::drained;
  if (result.bytes >= bytes) {
    for (const Step& step : steps) advance(step, step.next, step.bytes);
  } else {
    keep_rest(steps, result.bytes);
  }
  due_.keep_if(subscriptions_.all(),
               [](const Subscription& place) { return place.next < place.channel->log.end(); });
  if (due_.empty()) {
    marked_ = false;
  } else if (!is_blocked()) {
    loop().requeue(*this, 1);
  } else {
    watch();
  }
}

void Subscriber::advance(const Step& step, Sequence to, std::size_t bytes) noexcept {
  Subscription& place = subscriptions_[step.subscription];
  count(place, step.from, to, bytes);
  place.next = to;
}

// What a write has begun must be finished, whatever becomes of the subscriber's place meanwhile.
void Subscriber::keep_rest(std::span<const Step> steps, std::size_t taken) noexcept {
  const std::size_t committed = blocked_ ? taken + leg_->committed_bytes() : taken;
  std::size_t passed = 0;
  for (const Step& step : steps) {
    const Log& log = subscriptions_[step.subscription].channel->log;
    Sequence next = step.from;
    std::size_t bytes = 0;
    for (; next < step.next; ++next) {
      const std::span<const std::byte> frame = log.at(next).bytes(form_, reader());
      const std::size_t end = passed + frame.size();
      // Begun, or promised to the TLS library.
      if (passed >= taken && passed >= committed) break;
      if (end > taken) loop().buffers().append(out_, frame.subspan(passed >= taken ? 0 : taken - passed));
      passed = end;
      bytes += frame.size();
    }
    advance(step, next, bytes);
    if (next < step.next) return;
  }
}

// It was blocked: what is state has a newer value by now.
void Subscriber::conflate() noexcept {
  due_.walk(subscriptions_.all(), [this](std::uint32_t number) {
    Subscription& place = subscriptions_[number];
    return place.channel->rules.on_lag != config::OnLag::conflate || help(place, config::OnLag::conflate);
  });
}

void Subscriber::after_pause() noexcept {
  if (phase_ != Phase::open || is_blocked() || due_.empty() || waits_) return;
  waits_ = true;
  audience_.serve(*this);
}

void Subscriber::count(const Subscription& place, Sequence from, Sequence to, std::size_t bytes) noexcept {
  if (from == to) return;
  const Channel& channel = *place.channel;
  const auto frames = static_cast<std::uint64_t>(to - from);
  to_client_.frames += frames;
  to_client_.bytes += bytes;
  auto& flow = route_.cells(pump_thread()).flow(metrics::Direction::to_client);
  // Most feeds have one kind of message; where they mix, the first one's is counted for the batch.
  const auto opcode = static_cast<std::uint8_t>(channel.log.at(from).at[0][0] & std::byte{0x0f});
  flow.frames[metrics::opcode_index(opcode)].add(frames);
  flow.messages.add(frames);
  flow.bytes.add(bytes);
  metrics::FeedCells& cells = feed_.cells(pump_thread());
  cells.deliveries.add(frames);
  cells.delivered_bytes.add(bytes);
  if (from >= place.fresh) cells.delivery.observe(audience_.turn_time() - channel.log.at(from).came, frames);
}

}  // namespace holdfast::feed
