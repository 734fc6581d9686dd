#pragma once
// The loop of one pump thread: edge-triggered epoll, one timer wheel, one inbox, shared scratch buffers. It
// hosts sessions (and later feed subscribers); it knows nothing about frames.
//
// Thread: everything but `inbox()` and `stop()` belongs to the thread that calls `run`.
// Rule: a handler is never destroyed inside a callback but in the host's `on_turn_end`, so that events of the
// same batch can't reach freed memory.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "holdfast/base/buffer_pool.hpp"
#include "holdfast/base/clock.hpp"
#include "holdfast/base/inbox.hpp"
#include "holdfast/base/timer_wheel.hpp"
#include "holdfast/net/leg.hpp"
#include "holdfast/net/pump_leg.hpp"

namespace holdfast::net {

/// What epoll said about a leg.
struct Readiness {
  bool readable;  ///< data, end or error: read until `drained`
  bool writable;
  bool ending;  ///< FIN or error is waiting behind the data: read until `end`
  bool dead;    ///< error: nothing will ever be written or acknowledged again
};

class Loop;

class Handler {
 public:
  /// `which` is what the handler gave to `Loop::add` (0 to 3).
  virtual void on_ready(unsigned which, Readiness ready) noexcept = 0;

 protected:
  ~Handler() = default;

 private:
  friend class Loop;
  std::uint8_t queued_ = 0;  ///< the legs that wait in the requeue list, one bit each
};

/// Who owns the handlers of a loop.
class Host {
 public:
  /// An item from another thread; ownership comes with it.
  virtual void deliver(std::unique_ptr<InboxItem> item) noexcept = 0;
  /// After all events of a turn: destroy what has ended.
  virtual void on_turn_end() noexcept = 0;
  /// How long the turn took (wake-up to the next wait): what every other session had to wait.
  virtual void on_turn_measured(std::chrono::nanoseconds busy) noexcept = 0;

 protected:
  ~Host() = default;
};

class Loop {
 public:
  /// Room for carried bytes in front of a read.
  static constexpr std::size_t carry_room = 256;

  explicit Loop(Host& host);  ///< throws std::system_error without epoll or eventfd
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop();

  /// What a wait for events would bring.
  struct Event {
    Handler* handler;
    unsigned which;
    Readiness ready;
  };

  void run();
  /// One turn at the caller's time with the caller's events, without a wait: for simulations.
  void turn_at(Tick now, std::span<const Event> events);
  void stop() noexcept;  ///< any thread; `run` returns after the present turn
  [[nodiscard]] Inbox& inbox() noexcept { return inbox_; }  ///< any thread

  /// Registers once, for life, all edges; the next turn tells what is in the kernel already (epoll_ctl(2)).
  /// What the leg has read ahead, or what is not wanted yet when that turn comes, the caller reads itself.
  [[nodiscard]] bool add(Leg& leg, Handler& handler, unsigned which) noexcept;
  [[nodiscard]] bool add(PumpLeg& leg, Handler& handler, unsigned which) noexcept;
  /// Before a leg is destroyed or handed on while its descriptor stays open elsewhere.
  void remove(Leg& leg) noexcept;

  /// Calls `on_ready(which, readable)` again in the next turn (a leg that used up its reads of this turn).
  void requeue(Handler& handler, unsigned which);
  [[nodiscard]] static bool is_queued(const Handler& handler, unsigned which) noexcept {
    return (handler.queued_ & (1U << which)) != 0;
  }
  /// A handler about to be destroyed is taken out of the requeue list.
  void forget(Handler& handler) noexcept;

  [[nodiscard]] Tick now() const noexcept { return now_; }  ///< read once a turn
  [[nodiscard]] TimerWheel& timers() noexcept { return timers_; }
  [[nodiscard]] BufferPool& buffers() noexcept { return buffers_; }
  [[nodiscard]] CipherScratch& cipher() noexcept { return cipher_; }
  /// carry_room + Leg::read_batch_bytes; content is valid within one callback only.
  [[nodiscard]] std::span<std::byte> scratch() noexcept { return {scratch_.get(), scratch_bytes}; }

 private:
  static constexpr std::size_t scratch_bytes = carry_room + Leg::read_batch_bytes;
  struct Again {
    Handler* handler;
    unsigned which;
  };
  [[nodiscard]] bool watch(int descriptor, Handler& handler, unsigned which) noexcept;
  void turn();
  static void dispatch(const Event& event) noexcept;
  void dispatch_inbox();
  void dispatch_requeued();

  Host& host_;
  Inbox inbox_;
  int epoll_;
  std::atomic<bool> stopping_{false};
  Tick now_;
  TimerWheel timers_;
  BufferPool buffers_;
  CipherScratch cipher_;
  std::unique_ptr<std::byte[]> scratch_;
  std::vector<Again> requeued_;
  std::vector<Again> running_;
};

}  // namespace holdfast::net
