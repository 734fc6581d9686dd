#pragma once
// The planned moves of one shard: who waits for one, how many are under way, and how fast they may begin
// (SESSIONS.md promise 11). A session takes a place when it asks for its new leg, or breaks off the old one,
// and gives it back when the move is over: the new leg feeds the client, or the session stays, or the old leg
// is lost on the way. What can't wait takes one too, but begins without one.
//
// Thread: the shard's.

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "holdfast/base/cause.hpp"
#include "holdfast/base/slab.hpp"
#include "holdfast/base/timer_wheel.hpp"
#include "holdfast/session/shard.hpp"

namespace holdfast::session {

class Moves final : private Timer {
 public:
  static constexpr std::uint32_t most_under_way = 256;  ///< in the whole process

  explicit Moves(Shard& shard) noexcept : shard_(shard) {}

  /// The session's `move` is called when it may begin: at once for causes that can't wait, else within the
  /// shard's share of the upstream's move_rate.
  void want(Handle session, const std::shared_ptr<upstream::UpstreamState>& upstream, Cause cause);

  [[nodiscard]] bool has_room() const noexcept;
  void began() noexcept { ++under_way_; }
  void ended() noexcept;
  [[nodiscard]] std::uint32_t under_way() const noexcept { return under_way_; }

 private:
  struct Order {
    Handle session;
    Cause cause;
  };
  /// One upstream's, in the order they came.
  struct Queue {
    std::shared_ptr<upstream::UpstreamState> upstream;
    std::deque<Order> waiting;
    double tokens = 1;
    Tick filled_at = 0;
  };
  void on_timer(Tick now) override;
  void run(Tick now);
  /// Begins what may begin; true if some are left.
  bool run(Queue& queue, Tick now);
  [[nodiscard]] Queue& queue_of(const std::shared_ptr<upstream::UpstreamState>& upstream, Tick now);

  Shard& shard_;
  std::vector<std::unique_ptr<Queue>> queues_;  ///< pointers: a move may add one
  std::uint32_t under_way_ = 0;
};

}  // namespace holdfast::session
