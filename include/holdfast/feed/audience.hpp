#pragma once
// The subscribers of one pump thread, and the logs of the channels that they follow. It is hosted by the
// thread's session::Shard, whose loop and turn it shares: items come in through the shard, and at the end of
// each turn some of those who are behind get all that is new, in one batch of sends, until nobody is.
//
// Thread: its shard's. Lifetime: as long as its shard.

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "holdfast/base/slab.hpp"
#include "holdfast/dialect/dialect.hpp"
#include "holdfast/dialect/scratch.hpp"
#include "holdfast/feed/items.hpp"
#include "holdfast/feed/unpacker.hpp"
#include "holdfast/net/send_batch.hpp"
#include "holdfast/session/shard.hpp"

namespace holdfast::session {
struct Throttle;
}

namespace holdfast::feed {

class Subscriber;
struct Channel;

class Audience final : public session::Guest, private Timer {
 public:
  /// So many subscribers are served before the loop looks for what else has come (DECISIONS.md).
  static constexpr std::size_t default_most_per_turn = 128;
  /// `hub` outlives it; `index`: what the hub knows it by; `most_per_turn` ≤ net::SendBatch::best_size.
  Audience(session::Shard& shard, HubPort& hub, std::size_t index, net::SendBatch::Mode mode,
           std::size_t most_per_turn = default_most_per_turn);
  Audience(const Audience&) = delete;
  Audience& operator=(const Audience&) = delete;
  ~Audience();

  [[nodiscard]] session::Shard& shard() const noexcept { return shard_; }
  /// Any thread.
  void send(std::unique_ptr<AudienceItem> item) noexcept {
    item->audience = this;
    shard_.send(std::move(item));
  }

  // Items.
  void take(const Batch& batch) noexcept;
  void take(Opened& opened) noexcept;
  void take(Ended& ended) noexcept;
  void take(Ruled& ruled) noexcept;
  void take(Joining& joining) noexcept;
  void take(const Refused& refused) noexcept;
  void take(const Answered& answered) noexcept;
  void take(const Broadcast& broadcast) noexcept;
  void take(const FeedEnded& ended) noexcept;

  // session::Guest
  void on_turn_end() noexcept override;
  void end_all(Reason reason, std::chrono::milliseconds spread) noexcept override;
  void cut_all() noexcept override;
  void list(std::vector<session::SessionView>& seen, std::size_t most) override;
  [[nodiscard]] bool obey(const session::SessionOrder& order,
                          session::SessionOrder::Answer& answer) noexcept override;

  // For subscribers.
  [[nodiscard]] Channel& channel(FeedState& feed, const std::string& key, const std::string& lane);
  /// Null: nobody here has asked for it.
  [[nodiscard]] Channel* find(FeedState& feed, const std::string& key) noexcept;
  void add(Channel& channel, Subscriber& subscriber, std::uint32_t subscription);
  void remove(Channel& channel, std::uint32_t place) noexcept;
  /// A client's deflated message (RFC 7692 section 7.2.2).
  [[nodiscard]] Unpacker::Outcome unpack(std::span<const std::byte> message, std::uint64_t most_bytes) {
    return unpacker_.unpack(message, most_bytes);
  }
  /// For the source; `channel` null: no channel's. False: it is lost.
  bool forward(FeedState& feed, Channel* channel, ws::Opcode opcode, std::vector<std::byte> message) noexcept;
  [[nodiscard]] bool publish(Channel& channel, std::vector<std::byte> message, Origin origin) noexcept;
  [[nodiscard]] bool ask(const Subscriber& who, Question question) noexcept;
  void renew(Channel& channel) noexcept;
  [[nodiscard]] Origin next_origin() noexcept;
  [[nodiscard]] const std::shared_ptr<const dialect::Dialect>& dialect(FeedState& feed);
  [[nodiscard]] dialect::Scratch& scratch() noexcept { return scratch_; }
  /// It has something to get: it is served at the end of this turn, or of one of the next.
  void serve(Subscriber& subscriber) { waiting_.push_back(&subscriber); }
  void retire(const Subscriber& subscriber);
  /// Made when there is none; few routes limit rates, so it is kept here and not by each subscriber.
  [[nodiscard]] session::Throttle& throttle(const Subscriber& subscriber);
  void forget_throttle(const Subscriber& subscriber) noexcept;
  /// Its place among all, for what is not to happen to all at once.
  [[nodiscard]] std::uint32_t number_of(const Subscriber& subscriber) const noexcept;

  /// What a subscriber at `from` of this channel gets next; the same for all that are there.
  struct Helping {
    static constexpr std::size_t most_pieces = 8;
    std::array<std::span<const std::byte>, most_pieces> pieces;
    std::size_t piece_count = 0;
    std::size_t bytes = 0;
    Sequence from = 0;
    Sequence next = 0;  ///< behind it
  };
  [[nodiscard]] const Helping& helping(Channel& channel, Sequence from, Form form, Origin reader,
                                       std::size_t most_bytes);
  // For simulations.
  /// Whose leg it is; null when nobody's.
  [[nodiscard]] net::Handler* handler_of(const net::Leg& leg);
  [[nodiscard]] std::size_t channel_count() const noexcept { return channels_.size(); }
  [[nodiscard]] std::size_t subscriber_count() const noexcept { return subscribers_->size(); }
  void check_invariants();

  [[nodiscard]] TimePoint turn_time() const noexcept { return turn_time_; }

 private:
  // How often old messages are looked for in quiet channels.
  static constexpr std::uint32_t trim_period_ms = 1'000;

  void on_timer(Tick now) override;
  void end_spread(std::span<Subscriber* const> leaving, Reason reason,
                  std::chrono::milliseconds spread) noexcept;
  /// The hub knows it no more; it is kept until its last subscriber has left it.
  Channel& orphan(FeedState& feed, const std::string& key);
  void renew_for_held(Channel& channel) noexcept;
  void note_left(Channel& channel);
  void note_count(Channel& channel);
  void drop_if_empty(Channel& channel) noexcept;
  void note_change(Channel& channel) noexcept;
  [[nodiscard]] bool somebody_waits() const noexcept {
    return served_ < serving_.size() || !waiting_.empty();
  }
  void serve_some() noexcept;
  void destroy_retired() noexcept;
  void trim(Channel& channel, TimePoint now) noexcept;
  void send_planned() noexcept;

  session::Shard& shard_;
  HubPort& hub_;
  std::size_t index_;
  std::size_t most_per_turn_;
  net::SendBatch sends_;
  std::map<std::pair<FeedState*, std::string>, std::unique_ptr<Channel>> channels_;
  std::unordered_map<ChannelId, Channel*> by_id_;
  std::vector<std::unique_ptr<Channel>>
      orphans_;  ///< whose feed is gone and whose subscribers end one by one
  struct Spoken {
    std::uint32_t version = 0;
    std::shared_ptr<const dialect::Dialect> dialect;
  };
  std::unordered_map<const FeedState*, Spoken> spoken_;
  dialect::Scratch scratch_;
  Origin latest_origin_ = 0;
  Unpacker unpacker_;
  std::unique_ptr<Slab<Subscriber>> subscribers_;
  std::unordered_map<const Subscriber*, std::unique_ptr<session::Throttle>> throttles_;
  std::vector<Subscriber*> waiting_;  ///< for the next pass
  std::vector<Subscriber*> serving_;  ///< the pass under way; null: gone meanwhile
  std::size_t served_ = 0;            ///< so many of it were served, and are not looked at again
  struct NextTurn final : net::Handler {
    void on_ready(unsigned, net::Readiness) noexcept override {}  // the turn's end is what is wanted
  };
  NextTurn next_turn_;  ///< requeued while somebody waits
  struct Served;
  struct Serving;
  std::unique_ptr<Serving> serving_now_;
  std::vector<FeedState*> touched_;  ///< with something new in this pass
  std::vector<Channel*> grown_;      ///< in this pass: their logs are trimmed at its end
  std::size_t rotation_ = 0;
  std::vector<Handle> retired_;
  std::vector<Channel*> counted_;  ///< with more or fewer subscribers, which the hub is told of
  std::vector<Channel*> left_;     ///< without subscribers, perhaps: looked at at the end of the turn
  Channel* helped_ = nullptr;      ///< whom `helping_` is of; null after a change of its log
  Form helped_form_ = Form::plain;
  Origin helped_reader_ = 0;
  std::size_t helped_bytes_ = 0;
  Helping helping_;
  Reason closing_for_ = Reason::none;
  TimePoint turn_time_;
  TimePoint pass_began_;
};

}  // namespace holdfast::feed
