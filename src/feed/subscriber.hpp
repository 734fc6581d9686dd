#pragma once
// One client of a feed on its pump thread: its leg, where it is in which channels, one timer. LIFECYCLE.md
// draws its phases.
//
// Nothing is queued for it. What it has not had is in the channels' logs; `out_` holds only what a write has
// begun (the rest of a frame, or of a TLS record) and control frames behind that. subscriber.cpp: its life
// and what it says; serving.cpp: what it gets; lagging.cpp: when it can't keep up.
//
// Thread: its audience's. Lifetime: a slab slot of the audience, freed at the end of a turn. Invariants:
//   - a frame of ours is only begun where the one before is whole;
//   - nothing but its end is written behind a Close;
//   - what a due subscription still has to get is in its channel's log, or counted as skipped.

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "feed/dialogue.hpp"
#include "feed/subscriptions.hpp"
#include "holdfast/base/buffer_pool.hpp"
#include "holdfast/base/timer_wheel.hpp"
#include "holdfast/feed/audience.hpp"
#include "holdfast/net/loop.hpp"
#include "holdfast/ws/walker.hpp"
#include "session/packed_story.hpp"
#include "session/throttle.hpp"

namespace holdfast::feed {

class Subscriber final : public net::Handler, private Timer {
 public:
  Subscriber(Audience& audience, Joining& joining);
  Subscriber(const Subscriber&) = delete;
  Subscriber& operator=(const Subscriber&) = delete;
  ~Subscriber();

  void start(Joining& joining) noexcept;
  void on_ready(unsigned which, net::Readiness ready) noexcept override;

  void end(Reason reason) noexcept;
  /// The earlier of two wins.
  void end_at(Reason reason, Tick when) noexcept;
  void cut(Reason reason) noexcept;

  /// The channel of this subscription is open now.
  void opened(std::uint32_t subscription) noexcept;
  /// It can't be had, or no longer.
  void refused(std::uint32_t subscription, const Refusal& why);
  void answered(const Answered& answer);
  /// A message of ours or of the source, for it alone: in front of data that was not begun.
  void tell(std::string_view text) noexcept;
  /// Its channel has something new.
  void mark_due(std::uint32_t subscription);
  /// At the end of a turn: what it is to be sent. Empty when there is nothing, or it can't take anything.
  struct Step {
    std::uint32_t subscription;
    Sequence from;
    Sequence next;
    std::size_t bytes;
  };
  static constexpr std::size_t most_pieces = 16;
  struct Plan {
    std::vector<Step> steps;
    std::array<std::span<const std::byte>, most_pieces> pieces;
    std::size_t piece_count = 0;
    std::size_t bytes = 0;
    std::size_t room = 0;  ///< for bytes, unless one message has more
  };
  /// Appends its steps.
  [[nodiscard]] bool plan(Plan& plan) noexcept;
  /// What became of it: `bytes` is what was planned.
  void served(std::span<const Step> steps, std::size_t bytes, net::IoResult result) noexcept;
  [[nodiscard]] net::Leg& leg() noexcept { return *leg_; }

  [[nodiscard]] bool is_running() const noexcept { return phase_ == Phase::open; }
  [[nodiscard]] const session::SessionId& id() const noexcept { return id_; }
  [[nodiscard]] session::SessionView view(Tick now) const;
  [[nodiscard]] const FeedState& feed() const noexcept { return feed_; }
  void check_invariants() const noexcept;

 private:
  enum class Phase : std::uint8_t {
    open,
    closing,    ///< our Close is on its way, or its own was answered: bounded by close_timeout
    lingering,  ///< FIN written: it may read our last words for 2 s
    gone,
  };

  // subscriber.cpp
  /// Its number for this channel, which it gets nothing of before `begin`.
  std::uint32_t follow(Channel& channel);
  void unfollow(std::uint32_t subscription) noexcept;
  /// It gets what comes, from where `joining_point` says.
  void begin(std::uint32_t subscription) noexcept;
  void read() noexcept;
  void consume(std::span<const std::byte> data) noexcept;
  void control(std::span<const std::byte> frame, const ws::FrameHeader& header) noexcept;
  void take_data(std::span<const std::byte> bytes, const ws::Step& step) noexcept;
  void message_is_whole() noexcept;
  void say(std::span<const std::byte> frame) noexcept;  ///< a whole control frame
  void flush() noexcept;
  void write_close(std::uint16_t code, std::string_view words) noexcept;
  void finish_if_done() noexcept;
  void input_ended() noexcept;
  void begin_closing(Reason reason, session::ClosedBy who, std::uint16_t code) noexcept;
  void settle() noexcept;
  void linger() noexcept;
  void leave_channels() noexcept;
  void record() noexcept;
  [[nodiscard]] Origin reader() const noexcept { return dialogue_ == nullptr ? 0 : dialogue_->origin(); }
  [[nodiscard]] bool is_blocked() const noexcept { return blocked_ || out_ != nullptr; }

  // serving.cpp
  [[nodiscard]] bool add(Plan& plan, std::uint32_t number);
  void advance(const Step& step, Sequence to, std::size_t bytes) noexcept;
  void keep_rest(std::span<const Step> steps, std::size_t taken) noexcept;
  void after_pause() noexcept;
  void conflate() noexcept;
  void count(const Subscription& place, Sequence from, Sequence to, std::size_t bytes) noexcept;

  // lagging.cpp
  [[nodiscard]] bool help(Subscription& subscription, config::OnLag policy) noexcept;
  void watch() noexcept;
  void look_at_lag(Tick now, std::uint32_t& wait_ms) noexcept;

  // throttling.cpp: it sends too fast
  [[nodiscard]] session::Throttle* throttle() noexcept;  ///< null: its route limits nothing
  [[nodiscard]] session::Throttle::Pongs kind_of_pongs() const noexcept;
  void set_read_limit(session::Throttle& throttle, std::size_t bytes) noexcept;
  void too_fast(session::Throttle& limited, std::span<const std::byte> rest,
                metrics::RateLimit limit) noexcept;
  [[nodiscard]] bool take_stalled() noexcept;
  void look_at_throttle(Tick now, std::uint32_t& wait_ms) noexcept;
  void lift_throttle() noexcept;
  void forget_throttle() noexcept;

  // keeping.cpp: time
  void on_timer(Tick now) override;
  void look(Tick now) noexcept;
  void look_at_ping(Tick now, std::uint32_t& wait_ms) noexcept;
  [[nodiscard]] Reason overdue(Tick now, std::uint32_t& wait_ms) noexcept;

  /// Right for 49 days.
  [[nodiscard]] std::uint32_t age_ms(Tick now) const noexcept { return now - started_; }
  [[nodiscard]] net::Loop& loop() const noexcept { return audience_.shard().loop(); }
  [[nodiscard]] std::size_t pump_thread() const noexcept {
    return audience_.shard().surroundings().pump_thread;
  }

  // In this order without holes: there are very many of it (see the end of this file).
  Tick started_;
  Audience& audience_;
  FeedState& feed_;
  session::RouteState& route_;
  metrics::SessionCells& open_sessions_;
  std::unique_ptr<net::Leg> leg_;
  session::ListenerSeat listener_seat_;
  session::PackedStory story_;
  Subscriptions subscriptions_;
  DueList due_;
  std::unique_ptr<Dialogue> dialogue_;  ///< null: the feed has no dialect
  BufferPtr out_;                       ///< begun and not taken, then control frames
  BufferPtr carry_;                     ///< of an incomplete frame of its own
  BufferPtr incoming_;                  ///< its message under way, where messages are of use
  session::SessionId id_;
  session::Traffic from_client_;
  session::Traffic to_client_;
  std::uint32_t taken_at_mark_ = 0;  ///< to_client_.frames at slow_since_, its lower half
  Tick last_received_;
  Tick ping_at_ = 0;
  Tick end_at_ = 0;
  Tick slow_since_ = 0;
  std::uint32_t token_lasts_100ms_;
  [[no_unique_address]] ws::Walker walker_{ws::Sender::client};
  std::uint16_t close_code_ = 0;
  Reason planned_ = Reason::none;
  Reason reason_ = Reason::none;
  session::ClosedBy closed_by_ = session::ClosedBy::proxy;
  Phase phase_ = Phase::open;
  Form form_;
  ws::Opcode incoming_opcode_ = ws::Opcode::text;
  std::uint8_t mask_offset_ = 0;
  ws::Mask mask_ = 0;         ///< of its frame under way
  bool blocked_ : 1 = false;  ///< the kernel takes nothing now
  bool waits_ : 1 = false;    ///< to be served at the end of this turn
  bool ending_ : 1 = false;   ///< its FIN or error is here, perhaps behind data
  bool close_written_ : 1 = false;
  bool close_received_ : 1 = false;
  bool ping_open_ : 1 = false;
  bool marked_ : 1 = false;  ///< slow_since_ counts
  bool incoming_packed_ : 1 = false;
  bool collects_ : 1 = false;  ///< incoming_ has its message under way from the start
  bool unread_ : 1 = false;    ///< it was not read, because it takes no answers
  bool has_throttle_ : 1 = false;
  bool throttled_ : 1 = false;  ///< it is not read, because it was too fast

  friend class Audience;
  friend class Dialogue;
};
static_assert(sizeof(Subscriber) <= 312, "what is for few of them belongs into a block of its own");

}  // namespace holdfast::feed
