#include "holdfast/feed/hub.hpp"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <numeric>
#include <utility>

namespace holdfast::feed {

namespace {

// Of all feeds: an item on its way may outlive a channel and its feed.
ChannelId next_id() {
  static std::atomic<ChannelId> latest{0};
  return latest.fetch_add(1, std::memory_order_relaxed) + 1;
}

constexpr std::chrono::seconds between_presences{1};

}  // namespace

Hub::Hub(FeedState& feed, std::size_t audiences, config::Feed settings,
         std::shared_ptr<const dialect::Dialect> dialect, Host& host)
    : feed_(feed),
      audiences_(audiences),
      settings_(std::move(settings)),
      dialect_(std::move(dialect)),
      host_(host) {}

Hub::~Hub() {
  end_all(std::chrono::milliseconds(0));
}

void Hub::apply(const config::Feed& settings, std::shared_ptr<const dialect::Dialect> dialect,
                TimePoint now) {
  settings_ = settings;
  dialect_ = std::move(dialect);
  for (auto& [key, channel] : channels_) {
    channel->rules = rules_of(settings_, dialect_->settings_for(key));
    channel->log.trim(channel->rules.retention, now);
    for (std::size_t n = 0; n < audiences_; ++n) {
      if (channel->wanted_by[n] == 0 || !channel->is_open) continue;
      Ruled ruled;
      ruled.channel = channel->id;
      ruled.rules = channel->rules;
      host_.send(n, std::move(ruled));
    }
  }
}

void Hub::end_all(std::chrono::milliseconds spread) {
  publish_now();
  for (const auto& [key, channel] : channels_) {
    for (std::size_t n = 0; n < audiences_; ++n) {
      if (channel->wanted_by[n] == 0) continue;
      Ended gone;
      gone.feed = &feed_;
      gone.key = key;
      gone.channel = channel->is_open ? channel->id : 0;
      gone.reason = Reason::feed_gone;
      gone.spread = spread;
      host_.send(n, std::move(gone));
    }
  }
  for (auto each = channels_.begin(); each != channels_.end();) each = erase(each);
}

Hub::Channels::iterator Hub::erase(Channels::iterator where) {
  Channel& channel = *where->second;
  host_.close_source(channel);
  std::erase(changed_, &channel);
  by_id_.erase(channel.id);
  feed_.source_cells().channels.add(-1);
  return channels_.erase(where);
}

Opened Hub::opening_of(const Channel& channel) {
  Opened opened;
  opened.feed = &feed_;
  opened.key = channel.key;
  opened.channel = channel.id;
  opened.rules = channel.rules;
  opened.first = channel.log.begin();
  opened.parts = channel.log.parts(channel.log.begin());
  return opened;
}

void Hub::refuse_room(const std::string& key, std::size_t audience) {
  feed_.source_cells().refusals.add();
  if (dialect_->is_opaque()) {
    Ended refused;
    refused.feed = &feed_;
    refused.key = key;
    refused.reason = Reason::too_many_channels;
    return host_.send(audience, std::move(refused));
  }
  Refused refused;
  refused.feed = &feed_;
  refused.key = key;
  refused.why = {dialect::Fault::refused, "this feed has no room for more channels", {}};
  host_.send(audience, std::move(refused));
}

void Hub::want(const std::string& key, const std::string& lane, std::size_t audience, TimePoint now) {
  auto found = channels_.find(key);
  const bool is_new = found == channels_.end();
  if (is_new) {
    if (channels_.size() >= settings_.max_channels) return refuse_room(key, audience);
    auto made = std::make_unique<Channel>();
    made->id = next_id();
    made->key = key;
    made->lane = lane;
    if (dialect_->has_sub_ids()) made->sub_id = dialect::Dialect::stable_sub_id(key);
    made->rules = rules_of(settings_, dialect_->settings_for(key));
    made->wanted_by.resize(audiences_);
    made->followers.resize(audiences_);
    made->left_at = now;
    found = channels_.emplace(key, std::move(made)).first;
    by_id_[found->second->id] = found->second.get();
    feed_.source_cells().channels.add(1);
  }
  Channel& channel = *found->second;
  if (channel.wanted_by[audience] == 0) {
    channel.wanted_by[audience] = 1;
    if (channel.wanting++ == 0) channel.wanted_since = now;
  }
  if (channel.is_open) host_.send(audience, opening_of(channel));
  if (is_new) host_.open_source(channel);
}

void Hub::confirm(Channel& channel) {
  if (std::exchange(channel.is_open, true)) return;
  publish_now();  // what is written already is in the opening
  for (std::size_t n = 0; n < audiences_; ++n) {
    if (channel.wanted_by[n] != 0) host_.send(n, opening_of(channel));
  }
}

void Hub::refuse(Channel& channel, const Refusal& why) {
  publish_now();
  feed_.source_cells().refusals.add();
  for (std::size_t n = 0; n < audiences_; ++n) {
    if (channel.wanted_by[n] == 0) continue;
    Refused refused;
    refused.feed = &feed_;
    refused.key = channel.key;
    refused.channel = channel.is_open ? channel.id : 0;
    refused.why = why;
    host_.send(n, std::move(refused));
  }
  erase(channels_.find(channel.key));
}

void Hub::leave(ChannelId id, std::size_t audience, TimePoint now) {
  Channel* const channel = find(id);
  if (channel != nullptr) leave(*channel, audience, now);
}

void Hub::leave(Channel& channel, std::size_t audience, TimePoint now) {
  if (channel.wanted_by[audience] == 0) return;
  channel.wanted_by[audience] = 0;
  channel.followers[audience] = 0;
  if (--channel.wanting == 0) channel.left_at = now;
}

void Hub::withdraw(const std::string& key, std::size_t audience, TimePoint now) {
  const auto found = channels_.find(key);
  if (found != channels_.end() && !found->second->is_open) leave(*found->second, audience, now);
}

void Hub::count(ChannelId id, std::size_t audience, std::size_t followers) {
  Channel* const channel = find(id);
  if (channel != nullptr && channel->wanted_by[audience] != 0) channel->followers[audience] = followers;
}

void Hub::tell_presence(Channel& channel, TimePoint now) {
  const std::size_t present =
      std::accumulate(channel.followers.begin(), channel.followers.end(), std::size_t{0});
  if (present == channel.told_followers || now - channel.told_at < between_presences) return;
  channel.told_followers = present;
  channel.told_at = now;
  dialect::ReplyValues values;
  values.key = channel.key;
  values.count = present;
  for (const std::string& text : dialect_->render_reply(dialect::no_rule, dialect::Reply::presence, values))
    came(channel, {ws::Opcode::text, std::as_bytes(std::span(text)), now, FrameKind::aside});
}

void Hub::came(Channel& channel, const Writer::Message& message) {
  metrics::SourceCells& cells = feed_.source_cells();
  cells.messages.add();
  cells.bytes.add(message.payload.size());
  const bool packs = settings_.compression == config::FeedCompression::deflate &&
                     feed_.packed_wanted.load(std::memory_order_relaxed) != 0;
  if (packs) cells.deflations.add();
  if (channel.writer.empty()) changed_.push_back(&channel);
  channel.writer.write(message, packs ? &packer_ : nullptr);
}

void Hub::publish(TimePoint now) {
  if (changed_.empty() || flush_is_due_) return;
  const TimePoint due = published_at_ + settings_.flush_interval;
  if (now >= due) return publish_now(now);
  flush_is_due_ = true;
  host_.publish_at(due);
}

void Hub::publish_now(TimePoint now) {
  flush_is_due_ = false;
  if (changed_.empty()) return;
  published_at_ = now;
  auto batch = std::make_shared<Batch>();
  std::vector<std::uint8_t> concerned(audiences_);
  for (Channel* const channel : changed_) {
    Batch::Piece piece{channel->id, channel->log.end(), channel->writer.take()};
    TimePoint newest{};
    for (const Log::Part& part : piece.parts) {
      channel->log.append(part.chunk, part.frames);
      newest = part.frames.back().came;
    }
    channel->log.trim(channel->rules.retention, newest);
    for (std::size_t n = 0; n < audiences_ && channel->is_open; ++n) concerned[n] |= channel->wanted_by[n];
    batch->pieces.push_back(std::move(piece));
  }
  changed_.clear();
  const std::shared_ptr<const Batch> shared = std::move(batch);
  for (std::size_t n = 0; n < audiences_; ++n) {
    if (concerned[n] != 0) host_.publish(n, shared);
  }
}

void Hub::tick(TimePoint now) {
  const bool tells = dialect_->tells_presence();
  for (auto each = channels_.begin(); each != channels_.end();) {
    Channel& channel = *each->second;
    channel.log.trim(channel.rules.retention, now);
    if (tells) tell_presence(channel, now);
    const bool is_over = channel.wanting == 0 && now - channel.left_at >= settings_.linger;
    each = is_over ? erase(each) : std::next(each);
  }
  publish(now);
}

Hub::Channel* Hub::find(ChannelId id) noexcept {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

void Hub::check_invariants() const noexcept {
  for (const auto& [key, channel] : channels_) {
    std::size_t wanting = 0;
    for (const std::uint8_t each : channel->wanted_by) wanting += each;
    assert(wanting == channel->wanting);
    assert(by_id_.at(channel->id) == channel.get());
  }
  assert(by_id_.size() == channels_.size());
}

}  // namespace holdfast::feed
