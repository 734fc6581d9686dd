#pragma once
// One feed on the source thread: which channels there are, who wants them, what has come for them. It
// decides; sources are opened and audiences told through its Host. Sans-io.
//
// Thread: the source thread's. Invariants, checked by `check_invariants`:
//   - a channel without an audience has a time at which it ends;
//   - what an audience was told of a channel is without a hole: the opening, then every piece.

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "holdfast/feed/items.hpp"
#include "holdfast/feed/writer.hpp"

namespace holdfast::feed {

class Hub {
 public:
  struct Channel {
    ChannelId id = 0;
    std::string key;
    std::string lane;    ///< of its dialect's key
    std::string sub_id;  ///< stands in its messages, where the dialect has such
    Rules rules;
    bool is_open = false;  ///< the source sends it, audiences were told
    Log log;
    Writer writer;
    std::vector<std::uint8_t> wanted_by;  ///< by audience
    std::size_t wanting = 0;              ///< how many
    TimePoint wanted_since;               ///< by anybody
    TimePoint left_at;                    ///< since when nobody does
    std::vector<std::size_t> followers;   ///< by audience, where the dialect tells how many there are
    std::size_t told_followers = 0;
    TimePoint told_at;
  };

  class Host {
   public:
    /// `confirm` or `refuse` follows, perhaps before it returns.
    virtual void open_source(Channel& channel) = 0;
    virtual void close_source(Channel& channel) noexcept = 0;
    virtual void send(std::size_t audience, Opened&& item) = 0;
    virtual void send(std::size_t audience, Ended&& item) = 0;
    virtual void send(std::size_t audience, Ruled&& item) = 0;
    virtual void send(std::size_t audience, Refused&& item) = 0;
    virtual void publish(std::size_t audience, const std::shared_ptr<const Batch>& batch) = 0;
    /// `publish_now` is to be called then; never asked for twice.
    virtual void publish_at(TimePoint when) = 0;

   protected:
    ~Host() = default;
  };

  Hub(FeedState& feed, std::size_t audiences, config::Feed settings,
      std::shared_ptr<const dialect::Dialect> dialect, Host& host);
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;
  ~Hub();

  /// A reload: channels go on with the new rules.
  void apply(const config::Feed& settings, std::shared_ptr<const dialect::Dialect> dialect, TimePoint now);
  /// The feed is gone: each channel's subscribers end, spread over a time.
  void end_all(std::chrono::milliseconds spread);

  void want(const std::string& key, const std::string& lane, std::size_t audience, TimePoint now);
  /// The source sends it: who wants it begins. Nothing happens when it is open already.
  void confirm(Channel& channel);
  /// The channel ends; its subscribers go on without it.
  void refuse(Channel& channel, const Refusal& why);
  void leave(ChannelId channel, std::size_t audience, TimePoint now);
  /// Nothing happens when it is open: the audience is told so, and leaves.
  void withdraw(const std::string& key, std::size_t audience, TimePoint now);
  /// So many there follow it now: all are told, once a second at most.
  void count(ChannelId channel, std::size_t audience, std::size_t followers);
  /// A message of the source; it goes out with the next `publish`.
  void came(Channel& channel, const Writer::Message& message);
  /// What has come goes out, at once or `flush_interval` after what went before it.
  void publish(TimePoint now = Clock::now());
  void publish_now(TimePoint now = Clock::now());
  /// Ends channels that nobody has wanted for `linger`, and what is too old in the others. Once a second or
  /// more often.
  void tick(TimePoint now);

  [[nodiscard]] Channel* find(ChannelId id) noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return channels_.size(); }
  [[nodiscard]] const config::Feed& settings() const noexcept { return settings_; }
  [[nodiscard]] const std::shared_ptr<const dialect::Dialect>& dialect() const noexcept { return dialect_; }
  [[nodiscard]] FeedState& feed() const noexcept { return feed_; }
  template <class Visit>
  void for_each(Visit visit) {
    for (auto& [key, channel] : channels_) visit(*channel);
  }
  void check_invariants() const noexcept;

 private:
  using Channels = std::map<std::string, std::unique_ptr<Channel>>;
  Channels::iterator erase(Channels::iterator where);
  void leave(Channel& channel, std::size_t audience, TimePoint now);
  void tell_presence(Channel& channel, TimePoint now);
  void refuse_room(const std::string& key, std::size_t audience);
  [[nodiscard]] Opened opening_of(const Channel& channel);

  FeedState& feed_;
  std::size_t audiences_;
  config::Feed settings_;
  std::shared_ptr<const dialect::Dialect> dialect_;
  Host& host_;
  Packer packer_;
  Channels channels_;
  std::map<ChannelId, Channel*> by_id_;
  std::vector<Channel*> changed_;  ///< with something to publish
  TimePoint published_at_;
  bool flush_is_due_ = false;  ///< the host was asked for it
};

}  // namespace holdfast::feed
