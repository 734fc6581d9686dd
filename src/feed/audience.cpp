#include "holdfast/feed/audience.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

#include "feed/subscriber.hpp"

namespace holdfast::feed {

namespace {
// A source is not asked for another snapshot of a channel before it had the time to send one.
constexpr std::chrono::seconds renewal_pause{3};
}  // namespace

/// Whom a send is for, and which steps of the plan it has.
struct Audience::Served {
  Subscriber* who;
  std::size_t first_step;
  std::size_t step_count;
  std::size_t bytes;
};

struct Audience::Serving {
  Subscriber::Plan plan;
  std::vector<Served> served;
};

Audience::Audience(session::Shard& shard, HubPort& hub, std::size_t index, net::SendBatch::Mode mode,
                   std::size_t most_per_turn)
    : shard_(shard),
      hub_(hub),
      index_(index),
      most_per_turn_(most_per_turn),
      sends_(mode),
      subscribers_(std::make_unique<Slab<Subscriber>>()),
      serving_now_(std::make_unique<Serving>()),
      turn_time_(Clock::now()),
      pass_began_(turn_time_) {
  shard_.host(this);
}

Audience::~Audience() {
  cut_all();
  on_turn_end();
  shard_.loop().forget(next_turn_);
  shard_.host(nullptr);
}

void Audience::take(Joining& joining) noexcept {
  Subscriber* const subscriber = subscribers_->create(*this, joining).first;
  subscriber->start(joining);
  if (closing_for_ != Reason::none) subscriber->end(closing_for_);
}

std::uint32_t Audience::number_of(const Subscriber& subscriber) const noexcept {
  return subscribers_->handle_of(subscriber).index;
}

void Audience::retire(const Subscriber& subscriber) {
  retired_.push_back(subscribers_->handle_of(subscriber));
}

session::Throttle& Audience::throttle(const Subscriber& subscriber) {
  auto& found = throttles_[&subscriber];
  if (found == nullptr) found = std::make_unique<session::Throttle>();
  return *found;
}

void Audience::forget_throttle(const Subscriber& subscriber) noexcept {
  throttles_.erase(&subscriber);
}

Channel& Audience::channel(FeedState& feed, const std::string& key, const std::string& lane) {
  auto& found = channels_[{&feed, key}];
  if (found == nullptr) {
    found = std::make_unique<Channel>(feed, key);
    hub_.want(feed, key, lane, index_);
  }
  return *found;
}

Channel* Audience::find(FeedState& feed, const std::string& key) noexcept {
  const auto found = channels_.find({&feed, key});
  return found == channels_.end() ? nullptr : found->second.get();
}

const std::shared_ptr<const dialect::Dialect>& Audience::dialect(FeedState& feed) {
  Spoken& spoken = spoken_[&feed];
  const std::uint32_t version = feed.dialect_version.load(std::memory_order_acquire);
  if (spoken.dialect == nullptr || spoken.version != version) spoken = {version, feed.dialect()};
  return spoken.dialect;
}

Origin Audience::next_origin() noexcept {
  constexpr unsigned bits = 24;
  latest_origin_ = (latest_origin_ + 1) & ((1U << bits) - 1);
  return static_cast<Origin>((index_ + 1) << bits) | latest_origin_;
}

void Audience::add(Channel& channel, Subscriber& subscriber, std::uint32_t subscription) {
  subscriber.subscriptions_[subscription].place = static_cast<std::uint32_t>(channel.followers.size());
  channel.followers.push_back({&subscriber, subscription});
  channel.feed.cells(shard_.surroundings().pump_thread).subscriptions.add(1);
  note_count(channel);
}

void Audience::remove(Channel& channel, std::uint32_t place) noexcept {
  channel.followers[place] = channel.followers.back();
  const Channel::Follower& moved = channel.followers[place];
  moved.who->subscriptions_[moved.subscription].place = place;
  channel.followers.pop_back();
  channel.feed.cells(shard_.surroundings().pump_thread).subscriptions.add(-1);
  note_count(channel);
  if (channel.followers.empty()) note_left(channel);
}

void Audience::note_count(Channel& channel) {
  if (channel.is_counted || !dialect(channel.feed)->tells_presence()) return;
  channel.is_counted = true;
  counted_.push_back(&channel);
}

void Audience::note_left(Channel& channel) {
  if (std::exchange(channel.is_listed_as_left, true)) return;
  left_.push_back(&channel);
}

// The hub keeps the source for a while; here nothing is kept for nobody.
void Audience::drop_if_empty(Channel& channel) noexcept {
  channel.is_listed_as_left = false;
  if (!channel.followers.empty()) return;
  if (channel.is_orphan) {
    std::erase(grown_, &channel);
    std::erase_if(orphans_, [&](const auto& each) { return each.get() == &channel; });
    return;
  }
  if (!channel.said_before.empty()) return;  // the source gets it once it is open
  if (channel.id == 0) {
    hub_.withdraw(channel.feed, channel.key, index_);
  } else {
    hub_.leave(channel.feed, channel.id, index_);
  }
  by_id_.erase(channel.id);
  if (helped_ == &channel) helped_ = nullptr;
  std::erase(grown_, &channel);
  channels_.erase({&channel.feed, channel.key});
}

bool Audience::forward(FeedState& feed, Channel* channel, ws::Opcode opcode,
                       std::vector<std::byte> message) noexcept {
  if (channel == nullptr || channel->id != 0) {
    const ChannelId id = channel == nullptr ? 0 : channel->id;
    if (hub_.forward(feed, id, opcode, std::move(message))) return true;
  } else {
    const std::size_t cost = message.size() + sizeof(Channel::Said);
    if (!channel->is_orphan && channel->said_before_bytes + cost <= Channel::most_said_before) {
      channel->said_before_bytes += cost;
      channel->said_before.push_back({opcode, std::move(message)});
      return true;
    }
  }
  feed.cells(shard_.surroundings().pump_thread).forwards_dropped.add();
  return false;
}

bool Audience::publish(Channel& channel, std::vector<std::byte> message, Origin origin) noexcept {
  return hub_.publish(channel.feed, channel.id, ws::Opcode::text, std::move(message), origin);
}

bool Audience::ask(const Subscriber& who, Question question) noexcept {
  question.asker.audience = index_;
  question.asker.who = subscribers_->handle_of(who);
  return hub_.ask(who.feed_, std::move(question));
}

void Audience::renew(Channel& channel) noexcept {
  const TimePoint now = Clock::now();
  channel.wants_renewal = true;  // until `on_timer` finds that nobody waits for it any more
  if (now - channel.renewed_at < renewal_pause) return;
  channel.renewed_at = now;
  hub_.renew(channel.feed, channel.id);
}

void Audience::renew_for_held(Channel& channel) noexcept {
  channel.wants_renewal = std::ranges::any_of(channel.followers, [](const Channel::Follower& each) {
    return each.who->subscriptions_[each.subscription].held;
  });
  if (channel.wants_renewal) renew(channel);
}

void Audience::note_change(Channel& channel) noexcept {
  if (helped_ == &channel) helped_ = nullptr;
  if (!std::exchange(channel.is_grown, true)) grown_.push_back(&channel);
  if (std::ranges::find(touched_, &channel.feed) == touched_.end()) touched_.push_back(&channel.feed);
  for (const Channel::Follower& each : channel.followers) each.who->mark_due(each.subscription);
}

void Audience::end_all(Reason reason, std::chrono::milliseconds spread) noexcept {
  closing_for_ = reason;
  std::vector<Subscriber*> leaving;
  subscribers_->for_each([&](Subscriber& each, Handle) {
    if (each.is_running()) leaving.push_back(&each);
  });
  end_spread(leaving, reason, spread);
}

void Audience::end_spread(std::span<Subscriber* const> leaving, Reason reason,
                          std::chrono::milliseconds spread) noexcept {
  const Tick now = shard_.loop().now();
  for (std::size_t n = 0; n < leaving.size(); ++n) {
    const auto wait = static_cast<std::uint64_t>(spread.count()) * n / leaving.size();
    leaving[n]->end_at(reason, now + static_cast<Tick>(wait));
  }
}

void Audience::cut_all() noexcept {
  subscribers_->for_each([](Subscriber& each, Handle) { each.cut(Reason::drain); });
}

void Audience::list(std::vector<session::SessionView>& seen, std::size_t most) {
  subscribers_->for_each([&](Subscriber& each, Handle) {
    if (seen.size() < most && each.is_running()) seen.push_back(each.view(shard_.loop().now()));
  });
}

bool Audience::obey(const session::SessionOrder& order, session::SessionOrder::Answer& answer) noexcept {
  Subscriber* found = nullptr;
  subscribers_->for_each([&](Subscriber& each, Handle) {
    if (each.is_running() && each.id() == order.id) found = &each;
  });
  if (found == nullptr) return false;
  if (order.what == session::SessionOrder::What::close) {
    found->end(Reason::closed_by_operator);
  } else {
    answer.why_not = "it follows a feed, which has no backend to leave";
  }
  return true;
}

const Audience::Helping& Audience::helping(Channel& channel, Sequence from, Form form, Origin reader,
                                           std::size_t most_bytes) {
  const bool is_known = helped_ == &channel && helping_.from == from && helped_form_ == form &&
                        helped_reader_ == reader && helped_bytes_ == most_bytes;
  if (is_known) return helping_;
  helped_ = &channel;
  helped_form_ = form;
  helped_reader_ = reader;
  helped_bytes_ = most_bytes;
  helping_.from = from;
  helping_.piece_count = 0;
  helping_.bytes = 0;
  helping_.next =
      channel.log.gather(from, form, reader, most_bytes, [this](std::span<const std::byte> piece) {
        if (helping_.piece_count == Helping::most_pieces) return false;
        helping_.pieces[helping_.piece_count++] = piece;
        helping_.bytes += piece.size();
        return true;
      });
  return helping_;
}

net::Handler* Audience::handler_of(const net::Leg& leg) {
  net::Handler* found = nullptr;
  subscribers_->for_each([&](Subscriber& each, Handle) {
    if (each.leg_.get() == &leg) found = &each;
  });
  return found;
}

void Audience::check_invariants() {
  std::size_t followers = 0;
  const auto check = [&](const Channel& channel) {
    for (std::uint32_t place = 0; place < channel.followers.size(); ++place) {
      const Channel::Follower& each = channel.followers[place];
      const Subscription& subscription = each.who->subscriptions_[each.subscription];
      assert(subscription.channel == &channel && subscription.place == place);
      ++followers;
    }
  };
  for (const auto& [key, channel] : channels_) {
    assert((channel->id != 0) == by_id_.contains(channel->id));
    check(*channel);
  }
  for (const auto& channel : orphans_) check(*channel);
  std::size_t subscriptions = 0;
  subscribers_->for_each([&](Subscriber& each, Handle) {
    subscriptions += static_cast<std::size_t>(std::ranges::count_if(
        each.subscriptions_, [](const Subscription& one) { return one.channel != nullptr; }));
    each.check_invariants();
  });
  assert(subscriptions == followers);
}

// After everybody was served: who keeps up loses nothing, however large what has come is against the ring.
void Audience::trim(Channel& channel, TimePoint now) noexcept {
  Sequence floor = channel.log.end();
  if (channel.log.bytes() > channel.rules.retention.bytes) {
    for (const Channel::Follower& each : channel.followers) {
      const Subscription& place = each.who->subscriptions_[each.subscription];
      if (place.joined && !place.held && !each.who->is_blocked()) floor = std::min(floor, place.next);
    }
  }
  const Sequence before = channel.log.begin();
  channel.log.trim(channel.rules.retention, now, floor);
  if (channel.log.begin() != before && helped_ == &channel) helped_ = nullptr;
}

void Audience::on_timer(Tick now) {
  const TimePoint present = Clock::now();
  for (auto& [key, channel] : channels_) {
    trim(*channel, present);
    if (channel->wants_renewal) renew_for_held(*channel);
  }
  if (!channels_.empty()) shard_.loop().timers().arm(*this, now + trim_period_ms);
}

void Audience::on_turn_end() noexcept {
  if (somebody_waits()) serve_some();
  if (served_ == serving_.size()) {
    for (Channel* const each : grown_) {
      each->is_grown = false;
      trim(*each, turn_time_);
    }
    grown_.clear();
  }
  for (Channel* const each : std::exchange(counted_, {})) {
    each->is_counted = false;
    if (each->id != 0 && !each->is_orphan) hub_.count(each->feed, each->id, index_, each->followers.size());
  }
  for (Channel* const each : std::exchange(left_, {})) drop_if_empty(*each);
  destroy_retired();
  if (somebody_waits()) shard_.loop().requeue(next_turn_, 0);
}

void Audience::destroy_retired() noexcept {
  bool one_waits = false;
  for (const Handle handle : retired_) {
    const Subscriber* const subscriber = subscribers_->find(handle);
    one_waits = one_waits || (subscriber != nullptr && subscriber->waits_);
  }
  if (one_waits) {
    const auto is_gone = [](const Subscriber* each) { return each == nullptr || each->leg_ == nullptr; };
    std::erase_if(waiting_, is_gone);
    std::ranges::replace_if(std::span(serving_).subspan(served_), is_gone, nullptr);
  }
  for (const Handle handle : retired_) {
    Subscriber* const subscriber = subscribers_->find(handle);
    if (subscriber == nullptr) continue;
    shard_.loop().forget(*subscriber);
    subscribers_->destroy(handle);
  }
  retired_.clear();
}

// A pass over all who wait takes as many turns as it has to; what comes meanwhile goes to those who are still
// to be served at once, and to the others in the next pass.
void Audience::serve_some() noexcept {
  turn_time_ = Clock::now();
  helped_ = nullptr;
  if (served_ == serving_.size()) {
    serving_.clear();
    serving_.swap(waiting_);
    served_ = 0;
    pass_began_ = turn_time_;
    // Nobody is always the last one.
    std::ranges::rotate(serving_,
                        serving_.begin() + static_cast<std::ptrdiff_t>(rotation_++ % serving_.size()));
  }
  const std::size_t end = std::min(serving_.size(), served_ + most_per_turn_);
  while (served_ < end) {
    Subscriber* const each = serving_[served_++];
    Subscriber::Plan& plan = serving_now_->plan;
    const std::size_t steps = plan.steps.size();
    if (each == nullptr || !each->plan(plan)) continue;
    serving_now_->served.push_back({each, steps, plan.steps.size() - steps, plan.bytes});
    sends_.add(each->leg(), std::span(plan.pieces).first(plan.piece_count));
  }
  send_planned();
  if (served_ != serving_.size()) return;
  const auto spread = Clock::now() - pass_began_;
  for (FeedState* const feed : touched_)
    feed->cells(shard_.surroundings().pump_thread).spread.observe(spread);
  touched_.clear();
}

void Audience::send_planned() noexcept {
  const std::span<const Subscriber::Step> steps(serving_now_->plan.steps);
  sends_.run([&](std::size_t number, net::IoResult result) {
    const Served& one = serving_now_->served[number];
    one.who->served(steps.subspan(one.first_step, one.step_count), one.bytes, result);
  });
  serving_now_->served.clear();
  serving_now_->plan.steps.clear();
}

}  // namespace holdfast::feed
