// What the source thread tells an audience.

#include <utility>

#include "feed/subscriber.hpp"
#include "holdfast/feed/audience.hpp"

namespace holdfast::feed {

void Published::deliver_to(session::Shard&) noexcept {
  audience->take(*batch);
}
void Opened::deliver_to(session::Shard&) noexcept {
  audience->take(*this);
}
void Ended::deliver_to(session::Shard&) noexcept {
  audience->take(*this);
}
void Ruled::deliver_to(session::Shard&) noexcept {
  audience->take(*this);
}
void Joining::deliver_to(session::Shard&) noexcept {
  audience->take(*this);
}
void Refused::deliver_to(session::Shard&) noexcept {
  audience->take(*this);
}
void Answered::deliver_to(session::Shard&) noexcept {
  audience->take(*this);
}
void Broadcast::deliver_to(session::Shard&) noexcept {
  audience->take(*this);
}
void FeedEnded::deliver_to(session::Shard&) noexcept {
  audience->take(*this);
}

void Audience::take(const Batch& batch) noexcept {
  for (const Batch::Piece& piece : batch.pieces) {
    const auto found = by_id_.find(piece.channel);
    if (found == by_id_.end()) continue;
    Channel& channel = *found->second;
    for (const Log::Part& part : piece.parts) channel.log.append(part.chunk, part.frames);
    note_change(channel);
  }
}

void Audience::take(Opened& opened) noexcept {
  const auto found = channels_.find({opened.feed, opened.key});
  // It was withdrawn and wanted again while the first answer was on its way.
  if (found != channels_.end() && found->second->id == opened.channel) return;
  if (found == channels_.end() || found->second->id != 0) {
    // Everybody has left meanwhile.
    hub_.leave(*opened.feed, opened.channel, index_);
    return;
  }
  Channel& channel = *found->second;
  channel.id = opened.channel;
  channel.rules = opened.rules;
  channel.log.restart(opened.first);
  for (const Log::Part& part : opened.parts) channel.log.append(part.chunk, part.frames);
  by_id_[channel.id] = &channel;
  for (Channel::Said& each : std::exchange(channel.said_before, {}))
    forward(channel.feed, &channel, each.opcode, std::move(each.message));
  // One that is told so may leave, or end.
  const std::vector<Channel::Follower> followers = channel.followers;
  for (const Channel::Follower& each : followers) each.who->opened(each.subscription);
  if (channel.followers.empty()) note_left(channel);
  note_count(channel);
  if (!armed()) shard_.loop().timers().arm(*this, shard_.loop().now() + trim_period_ms);
}

void Audience::take(Ended& ended) noexcept {
  const auto found = channels_.find({ended.feed, ended.key});
  // Another one of that name may have been asked for meanwhile.
  if (found == channels_.end() || found->second->id != ended.channel) return;
  Channel& channel = orphan(*ended.feed, ended.key);
  // Each that ends at once takes itself out.
  const std::vector<Channel::Follower> followers = channel.followers;
  std::vector<Subscriber*> leaving;
  for (const Channel::Follower& each : followers) leaving.push_back(each.who);
  end_spread(leaving, ended.reason, ended.spread);
}

Channel& Audience::orphan(FeedState& feed, const std::string& key) {
  const auto found = channels_.find({&feed, key});
  orphans_.push_back(std::move(found->second));
  channels_.erase(found);
  Channel& channel = *orphans_.back();
  by_id_.erase(channel.id);
  channel.is_orphan = true;
  note_left(channel);
  return channel;
}

void Audience::take(const Refused& refused) noexcept {
  const auto found = channels_.find({refused.feed, refused.key});
  if (found == channels_.end() || found->second->id != refused.channel) return;
  const std::vector<Channel::Follower> followers = orphan(*refused.feed, refused.key).followers;
  for (const Channel::Follower& each : followers) each.who->refused(each.subscription, refused.why);
}

void Audience::take(const Answered& answered) noexcept {
  Subscriber* const subscriber = subscribers_->find(answered.asker.who);
  if (subscriber != nullptr) subscriber->answered(answered);
}

void Audience::take(const Broadcast& broadcast) noexcept {
  subscribers_->for_each([&](Subscriber& each, Handle) {
    if (&each.feed() == broadcast.feed && each.is_running()) each.tell(broadcast.text);
  });
}

void Audience::take(const FeedEnded& ended) noexcept {
  std::vector<Subscriber*> leaving;
  subscribers_->for_each([&](Subscriber& each, Handle) {
    if (&each.feed() == ended.feed && each.is_running()) leaving.push_back(&each);
  });
  end_spread(leaving, Reason::feed_gone, ended.spread);
}

void Audience::take(Ruled& ruled) noexcept {
  const auto found = by_id_.find(ruled.channel);
  if (found != by_id_.end()) found->second->rules = ruled.rules;
}

}  // namespace holdfast::feed
