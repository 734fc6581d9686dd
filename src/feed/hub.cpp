#include "holdfast/feed/hub.hpp"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <utility>

namespace holdfast::feed {

namespace {

// Of all feeds: an item on its way may outlive a channel and its feed.
ChannelId next_id() {
  static std::atomic<ChannelId> latest{0};
  return latest.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace

Hub::Hub(FeedState& feed, std::size_t audiences, config::Feed settings, Host& host)
    : feed_(feed),
      audiences_(audiences),
      settings_(std::move(settings)),
      rules_(rules_of(settings_)),
      host_(host) {}

Hub::~Hub() {
  end_all(std::chrono::milliseconds(0));
}

void Hub::apply(const config::Feed& settings, TimePoint now) {
  settings_ = settings;
  rules_ = rules_of(settings);
  for (auto& [key, channel] : channels_) {
    channel->log.trim(rules_.retention, now);
    for (std::size_t n = 0; n < audiences_; ++n) {
      if (channel->wanted_by[n] == 0) continue;
      Ruled ruled;
      ruled.channel = channel->id;
      ruled.rules = rules_;
      host_.send(n, std::move(ruled));
    }
  }
}

void Hub::tell_end(Ended::Service service, std::chrono::milliseconds spread) {
  for (const auto& [key, channel] : channels_) {
    for (std::size_t n = 0; n < audiences_; ++n) {
      if (channel->wanted_by[n] == 0) continue;
      Ended gone;
      gone.feed = &feed_;
      gone.key = key;
      gone.channel = channel->id;
      gone.reason = Reason::feed_gone;
      gone.spread = spread;
      gone.service = service;
      host_.send(n, std::move(gone));
    }
  }
}

void Hub::announce_end(std::chrono::milliseconds spread) {
  tell_end(Ended::Service::goes_on, spread);
}

void Hub::end_all(std::chrono::milliseconds spread) {
  tell_end(Ended::Service::is_over, spread);
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
  opened.rules = rules_;
  opened.first = channel.log.begin();
  opened.parts = channel.log.parts(channel.log.begin());
  return opened;
}

void Hub::want(const std::string& key, std::size_t audience, TimePoint now) {
  auto found = channels_.find(key);
  const bool is_new = found == channels_.end();
  if (is_new) {
    if (channels_.size() >= settings_.max_channels) {
      Ended refused;
      refused.feed = &feed_;
      refused.key = key;
      refused.reason = Reason::too_many_channels;
      return host_.send(audience, std::move(refused));
    }
    auto made = std::make_unique<Channel>();
    made->id = next_id();
    made->key = key;
    made->wanted_by.resize(audiences_);
    made->left_at = now;
    found = channels_.emplace(key, std::move(made)).first;
    by_id_[found->second->id] = found->second.get();
    feed_.source_cells().channels.add(1);
  }
  Channel& channel = *found->second;
  if (channel.wanted_by[audience] == 0) {
    channel.wanted_by[audience] = 1;
    ++channel.wanting;
  }
  host_.send(audience, opening_of(channel));
  // Last: a source may have its first message here before this returns.
  if (is_new) host_.open_source(channel);
}

void Hub::leave(ChannelId id, std::size_t audience, TimePoint now) {
  Channel* const channel = find(id);
  if (channel == nullptr || channel->wanted_by[audience] == 0) return;
  channel->wanted_by[audience] = 0;
  if (--channel->wanting == 0) channel->left_at = now;
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

void Hub::publish() {
  if (changed_.empty()) return;
  auto batch = std::make_shared<Batch>();
  std::vector<std::uint8_t> concerned(audiences_);
  for (Channel* const channel : changed_) {
    Batch::Piece piece{channel->id, channel->log.end(), channel->writer.take()};
    TimePoint newest{};
    for (const Log::Part& part : piece.parts) {
      channel->log.append(part.chunk, part.frames);
      newest = part.frames.back().came;
    }
    channel->log.trim(rules_.retention, newest);
    for (std::size_t n = 0; n < audiences_; ++n) concerned[n] |= channel->wanted_by[n];
    batch->pieces.push_back(std::move(piece));
  }
  changed_.clear();
  const std::shared_ptr<const Batch> shared = std::move(batch);
  for (std::size_t n = 0; n < audiences_; ++n) {
    if (concerned[n] != 0) host_.publish(n, shared);
  }
}

void Hub::tick(TimePoint now) {
  for (auto each = channels_.begin(); each != channels_.end();) {
    Channel& channel = *each->second;
    channel.log.trim(rules_.retention, now);
    const bool is_over = channel.wanting == 0 && now - channel.left_at >= settings_.linger;
    each = is_over ? erase(each) : std::next(each);
  }
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
