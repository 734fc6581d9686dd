#pragma once
// What the source thread and the pump threads with subscribers tell each other.

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "holdfast/base/reason.hpp"
#include "holdfast/config/feed.hpp"
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
[[nodiscard]] Rules rules_of(const config::Feed& settings);

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

/// The other answer, or later: the channel's subscribers end for `reason`, spread over a time.
struct Ended final : AudienceItem {
  enum class Service : std::uint8_t {
    is_over,  ///< the channel is no more
    goes_on,  ///< until another of these: who is here has what comes until his turn
  };
  Service service = Service::is_over;
  FeedState* feed = nullptr;
  std::string key;
  ChannelId channel = 0;  ///< 0: it was never opened
  Reason reason = Reason::none;
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
  std::string channel;  ///< key
  Form form = Form::plain;
  std::uint32_t token_lasts_100ms = 0;  ///< 0 = no end
  void deliver_to(session::Shard&) noexcept override;
};

/// To the source thread, from an audience (by its index). Any thread, never blocks.
class HubPort {
 public:
  virtual void want(FeedState& feed, const std::string& key, std::size_t audience) noexcept = 0;
  /// It has no subscriber of it any more.
  virtual void leave(FeedState& feed, ChannelId channel, std::size_t audience) noexcept = 0;
  /// A client's message for the source. False: too many are on their way already, it is lost.
  [[nodiscard]] virtual bool forward(FeedState& feed, ChannelId channel, ws::Opcode opcode,
                                     std::vector<std::byte> message) noexcept = 0;

 protected:
  ~HubPort() = default;
};

}  // namespace holdfast::feed
