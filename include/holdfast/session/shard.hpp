#pragma once
// The sessions of one pump thread, and the thread's loop. Sessions are born here from a Handover and die here
// at the end of a turn.
//
// Threads: `send`, `load` and `stop` any; everything else the thread that calls `run`.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "holdfast/base/slab.hpp"
#include "holdfast/metrics/cells.hpp"
#include "holdfast/net/loop.hpp"
#include "holdfast/net/socket.hpp"
#include "holdfast/session/access.hpp"
#include "holdfast/session/handover.hpp"
#include "holdfast/session/orders.hpp"

namespace holdfast::session {

class Session;
class Moves;
struct Kind;

/// What a shard says to the operator's log.
class WarningSink {
 public:
  virtual void warn(std::string sentence) noexcept = 0;  ///< any thread; never blocks
  virtual void inform(std::string) noexcept {}           ///< the same for what is no trouble

 protected:
  ~WarningSink() = default;
};

/// Others that live on a shard's thread and share its loop and its turns: a feed's subscribers.
class Guest {
 public:
  virtual void on_turn_end() noexcept = 0;  ///< after all events of a turn
  virtual void end_all(Reason reason, std::chrono::milliseconds spread) noexcept = 0;
  virtual void cut_all() noexcept = 0;
  /// Appends views of its own, up to `most` in all.
  virtual void list(std::vector<SessionView>& seen, std::size_t most) = 0;
  /// False: nobody of that id.
  [[nodiscard]] virtual bool obey(const SessionOrder& order, SessionOrder::Answer& answer) noexcept = 0;

 protected:
  ~Guest() = default;
};

class Shard final : private net::Host {
 public:
  struct Surroundings {
    std::size_t pump_thread;  ///< index, for the cells
    metrics::PumpCells& cells;
    AccessSink& access;
    WarningSink& warnings;
    std::uint64_t ping_marker;            ///< random, the same in all shards: tells our pongs from others
    RerouteDesk* desk;                    ///< its setup thread; may be null in tests without reroutes
    std::uint64_t hold_memory;            ///< bytes, this shard's share of limits.hold_memory
    std::uint32_t shards;                 ///< how many there are: rates of an upstream are shared evenly
    const net::DescriptorBudget* budget;  ///< for how many moves may be under way; null = no limit
    bool checking = false;                ///< tests: sessions check their invariants after each event
  };

  explicit Shard(Surroundings surroundings);
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;
  ~Shard();

  void run() { loop_.run(); }
  void stop() noexcept { loop_.stop(); }
  void send(std::unique_ptr<ShardItem> item) noexcept { loop_.inbox().push(item.release()); }

  /// Sessions here and on their way here: the one with fewest gets the next.
  [[nodiscard]] std::uint32_t load() const noexcept { return load_.load(std::memory_order_relaxed); }
  void expect_one() noexcept {
    load_.fetch_add(1, std::memory_order_relaxed);
  }  ///< before `send`ing a Handover

  /// Before `run`, or after it. The guest outlives the shard, or says goodbye by null.
  void host(Guest* guest) noexcept { guest_ = guest; }

  // --- the shard's thread only ---
  void attach(Handover& handover) noexcept;
  void deliver_reply(AttemptReply& reply) noexcept;
  void move_sessions(const MoveSessions& order) noexcept;
  void list(ListSessions& order) noexcept;
  void obey(SessionOrder& order) noexcept;
  /// Closes all sessions for `reason`, spread evenly over `spread`; those that still arrive, at once.
  void end_all(Reason reason, std::chrono::milliseconds spread) noexcept;
  /// Closes those of upstreams that are gone, spread as above, unless one is back when their turn comes.
  void end_upstreams(std::chrono::milliseconds spread) noexcept;
  /// Ends what is left without a word.
  void cut_all() noexcept;

  [[nodiscard]] net::Loop& loop() noexcept { return loop_; }
  [[nodiscard]] const Surroundings& surroundings() const noexcept { return surroundings_; }
  [[nodiscard]] std::uint32_t random() noexcept { return static_cast<std::uint32_t>(random_()); }
  /// For simulations: the same choices again.
  void seed_random(std::uint64_t seed) { random_.seed(seed); }
  /// A session whose legs are both gone: freed at the end of the turn.
  void retire(Handle handle) { retired_.push_back(handle); }
  /// One warning per backend and shard.
  void warn_mute_to_pings(const upstream::Backend& backend);

  [[nodiscard]] Session* find(Handle handle) noexcept;
  [[nodiscard]] Handle handle_of(const Session& session) const noexcept;
  void for_each(const std::function<void(Session&, Handle)>& visit);

  // Planned moves (moves.hpp).
  void want_move(Handle session, const std::shared_ptr<upstream::UpstreamState>& upstream, Cause cause);
  [[nodiscard]] bool may_begin_move() const noexcept;
  void move_began() noexcept;
  void move_ended() noexcept;
  [[nodiscard]] std::uint32_t moves_under_way() const noexcept;

  /// Bytes of limits.hold_memory that this shard has left.
  [[nodiscard]] std::uint64_t hold_memory_left() noexcept {
    const std::uint64_t used = loop_.buffers().outstanding_bytes();
    const std::uint64_t most = hold_memory_.load(std::memory_order_relaxed);
    return used >= most ? 0 : most - used;
  }
  void set_hold_memory(std::uint64_t bytes) noexcept {  ///< any thread
    hold_memory_.store(bytes, std::memory_order_relaxed);
  }
  /// Losing a leg costs as much as ten messages: a few per turn, so that the messages of others don't wait
  /// behind thousands that are lost at once. False: ask again in the next turn.
  [[nodiscard]] bool has_time_for_an_end() noexcept { return ends_in_turn_++ < most_ends_per_turn; }
  void session_ended() noexcept { load_.fetch_sub(1, std::memory_order_relaxed); }

 private:
  [[nodiscard]] const Kind& kind_of(const Handover& handover);
  void end_spread(Reason reason, std::chrono::milliseconds spread) noexcept;
  void deliver(std::unique_ptr<InboxItem> item) noexcept override;
  void on_turn_end() noexcept override;
  void on_turn_measured(std::chrono::nanoseconds busy) noexcept override;

  Surroundings surroundings_;
  net::Loop loop_;
  std::unique_ptr<Moves> moves_;
  /// By route and open_sessions. As many as listeners have routes; they stay.
  std::map<std::pair<const void*, const void*>, std::unique_ptr<Kind>> kinds_;
  std::unique_ptr<Slab<Session>> sessions_;
  std::vector<Handle> retired_;
  Guest* guest_ = nullptr;
  std::vector<std::string> mute_to_pings_;
  Reason closing_for_ = Reason::none;  ///< set by end_all: whoever still arrives is sent away at once
  std::atomic<std::uint64_t> hold_memory_;
  std::mt19937_64 random_;
  static constexpr std::uint32_t most_ends_per_turn = 16;
  std::uint32_t ends_in_turn_ = 0;
  std::int64_t held_bytes_ = 0;  ///< as last told to the metrics
  std::atomic<std::uint32_t> load_{0};
};

/// SIGTERM: everybody.
struct EndSessions final : ShardItem {
  EndSessions(Reason why, std::chrono::milliseconds over) : reason(why), spread(over) {}
  Reason reason;
  std::chrono::milliseconds spread;
  void deliver_to(Shard& shard) noexcept override { shard.end_all(reason, spread); }
};

/// A reload that removed upstreams. One item for all of them: a shard looks at all its sessions.
struct UpstreamsGone final : ShardItem {
  explicit UpstreamsGone(std::chrono::milliseconds over) : spread(over) {}
  std::chrono::milliseconds spread;
  void deliver_to(Shard& shard) noexcept override { shard.end_upstreams(spread); }
};

struct CutSessions final : ShardItem {
  void deliver_to(Shard& shard) noexcept override { shard.cut_all(); }
};

}  // namespace holdfast::session
