#pragma once
// What the source thread and the pump threads with subscribers tell each other.

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "holdfast/base/reason.hpp"
#include "holdfast/base/slab.hpp"
#include "holdfast/config/feed.hpp"
#include "holdfast/dialect/dialect.hpp"
#include "holdfast/feed/log.hpp"
#include "holdfast/feed/state.hpp"
#include "holdfast/session/handover.hpp"
#include "holdfast/ws/frame.hpp"

namespace holdfast::feed {

class Audience;

/// Names one channel from its opening to its end; never used again. 0 = none.
using ChannelId = std::uint64_t;

/// What subscribers of a channel go by.
struct Rules {
  Retention retention;
  config::Join join;
  config::OnLag on_lag = config::OnLag::disconnect;
  config::Slow slow;
};
/// The feed's, but for what its dialect knows better about a channel.
[[nodiscard]] Rules rules_of(const config::Feed& settings, const dialect::ChannelSettings& channel);

/// Why a channel or an answer can't be had, for clients.
struct Refusal {
  dialect::Fault fault = dialect::Fault::none;
  std::string message;
  std::string code;  ///< the source's own, raw JSON; "" = the dialect's for the fault
};

/// A client that has asked its feed's source something.
struct Asker {
  std::size_t audience = 0;
  Handle who;
  dialect::RuleIndex rule = dialect::no_rule;
  std::string id;  ///< its own, as it stands in its message
};

/// A client's message that the source answers.
struct Question {
  Asker asker;
  std::string message;
  dialect::Span id;       ///< where the id stands in it
  std::string shared_by;  ///< equal for those that may share an answer; "" = none may
  bool retryable = false;
};

/// What has come for some channels; shared by all pump threads.
struct Batch {
  struct Piece {
    ChannelId channel = 0;
    Sequence first = 0;
    std::vector<Log::Part> parts;
  };
  std::vector<Piece> pieces;
};

/// To an audience, which Audience::send fills in. Delivered by the shard that hosts it.
struct AudienceItem : session::ShardItem {
  Audience* audience = nullptr;
};

struct Published final : AudienceItem {
  std::shared_ptr<const Batch> batch;
  void deliver_to(session::Shard&) noexcept override;
};

/// The answer to HubPort::want: the channel with what it has kept. What comes later is Published.
struct Opened final : AudienceItem {
  FeedState* feed = nullptr;
  std::string key;
  ChannelId channel = 0;
  Rules rules;
  Sequence first = 0;  ///< of the first part
  std::vector<Log::Part> parts;
  void deliver_to(session::Shard&) noexcept override;
};

/// The other answer, or later: the channel is no more, its subscribers end for `reason`, spread over a time.
struct Ended final : AudienceItem {
  FeedState* feed = nullptr;
  std::string key;
  ChannelId channel = 0;  ///< 0: it was never opened
  Reason reason = Reason::none;
  std::chrono::milliseconds spread{0};
  void deliver_to(session::Shard&) noexcept override;
};

/// The source, or we, refuse a channel. Its subscribers go on without it.
struct Refused final : AudienceItem {
  FeedState* feed = nullptr;
  std::string key;
  ChannelId channel = 0;  ///< 0: it was never opened
  Refusal why;
  void deliver_to(session::Shard&) noexcept override;
};

/// To one client: the source's answer, or why there is none.
struct Answered final : AudienceItem {
  Asker asker;
  std::string text;
  Refusal why;  ///< Fault::none: there is one
  void deliver_to(session::Shard&) noexcept override;
};

/// A message of the source to all clients of a feed, in front of their channels' data.
struct Broadcast final : AudienceItem {
  FeedState* feed = nullptr;
  std::string text;
  void deliver_to(session::Shard&) noexcept override;
};

/// All clients of a feed end, also those without a channel.
struct FeedEnded final : AudienceItem {
  FeedState* feed = nullptr;
  std::chrono::milliseconds spread{0};
  void deliver_to(session::Shard&) noexcept override;
};

/// A reload has changed what a channel's subscribers go by.
struct Ruled final : AudienceItem {
  ChannelId channel = 0;
  Rules rules;
  void deliver_to(session::Shard&) noexcept override;
};

/// A client whose handshake is done, on its way to its pump thread.
struct Joining final : AudienceItem {
  std::unique_ptr<net::Leg> client;
  session::ListenerSeat listener_seat;
  session::RouteState* route = nullptr;
  metrics::SessionCells* open_sessions = nullptr;
  session::Story story;
  session::SessionId id;
  std::string early;  ///< what it sent behind its request
  FeedState* feed = nullptr;
  std::vector<std::string> channels;  ///< keys of those that it follows from the beginning
  bool speaks = false;                ///< the feed has a dialect: it may ask for channels
  Form form = Form::plain;
  std::uint32_t token_lasts_100ms = 0;  ///< 0 = no end
  void deliver_to(session::Shard&) noexcept override;
};

/// To the source thread, from an audience (by its index). Any thread, never blocks.
class HubPort {
 public:
  /// `lane`: of its dialect's key.
  virtual void want(FeedState& feed, const std::string& key, const std::string& lane,
                    std::size_t audience) noexcept = 0;
  /// It has no subscriber of it any more.
  virtual void leave(FeedState& feed, ChannelId channel, std::size_t audience) noexcept = 0;
  /// The same for one that it was not told to be open. That may be on its way: `leave` answers it.
  virtual void withdraw(FeedState& feed, const std::string& key, std::size_t audience) noexcept = 0;
  /// A client's message for the source, for a channel's connection; channel 0: for any. False: too many are
  /// on their way already, it is lost.
  [[nodiscard]] virtual bool forward(FeedState& feed, ChannelId channel, ws::Opcode opcode,
                                     std::vector<std::byte> message) noexcept = 0;
  /// A client's message for the subscribers of a channel. False as above.
  [[nodiscard]] virtual bool publish(FeedState& feed, ChannelId channel, ws::Opcode opcode,
                                     std::vector<std::byte> message, Origin origin) noexcept = 0;
  /// Answered by `Answered`. False as above: it is not.
  [[nodiscard]] virtual bool ask(FeedState& feed, Question question) noexcept = 0;
  /// So many subscribers of an audience follow the channel now, where its dialect tells them so.
  virtual void count(FeedState& feed, ChannelId channel, std::size_t audience,
                     std::size_t followers) noexcept = 0;
  /// Somebody waits for a snapshot of this channel and the log has none: the source is to begin anew.
  virtual void renew(FeedState& feed, ChannelId channel) noexcept = 0;

 protected:
  ~HubPort() = default;
};

}  // namespace holdfast::feed
