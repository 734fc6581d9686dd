#pragma once
// What is known of an upstream across snapshots, by name: how fast its sessions may be rerouted and moved,
// its retry budget, and what came of reroutes. Sans-io: time comes in as an argument.
//
// Ownership: shared_ptr, from the Registry and from each Backend. Threads: any, for every function; the
// limits are written by the control thread at a reload. Nothing here is called per message.

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

#include "holdfast/base/cause.hpp"
#include "holdfast/base/clock.hpp"
#include "holdfast/upstream/circuit.hpp"
#include "holdfast/upstream/queue.hpp"
#include "holdfast/upstream/sticky.hpp"

namespace holdfast::upstream {

/// Tokens that come back at a steady rate, up to one second's worth.
class TokenBucket {
 public:
  /// `per_second` 0 = no limit. Full at first.
  explicit TokenBucket(std::uint32_t per_second) noexcept;
  void set_rate(std::uint32_t per_second) noexcept;
  /// Takes one. Zero: taken; else nothing was taken, and how long until one is there.
  [[nodiscard]] Milliseconds take(TimePoint now) noexcept;

 private:
  std::mutex mutex_;
  double rate_;
  double tokens_;
  TimePoint filled_at_{};
};

/// Keeps retries from multiplying the load of a sick upstream: every first try earns a fifth of a retry, and
/// ten a second come by themselves (or what the rules say); it begins with ten, and up to 100 are saved.
/// Reroutes may overdraw it, by 100 at most, and so go first: a new handshake's retry is refused while it is
/// overdrawn, and reroutes' retries are slowed down once the debt can't grow. What was refused by a backend's
/// kernel has cost nobody anything and is not charged.
class RetryBudget {
 public:
  struct Rules {
    std::uint32_t percent_of_first_tries = 20;
    std::uint32_t per_second = 10;  ///< both 0 = new handshakes are never retried
  };
  void set_rules(Rules rules) noexcept;
  void first_try(TimePoint now) noexcept;
  /// A new handshake's second or third try.
  [[nodiscard]] bool may_retry(TimePoint now) noexcept;
  /// A reroute's attempt that has cost a backend something for nothing.
  void reroute_failed(TimePoint now) noexcept;
  /// As deep in debt as it gets.
  [[nodiscard]] bool is_exhausted(TimePoint now) noexcept;

 private:
  void refill(TimePoint now) noexcept;
  std::mutex mutex_;
  Rules rules_;
  double tokens_ = 10;
  TimePoint filled_at_{};
};

class UpstreamState {
 public:
  static constexpr std::uint32_t most_connecting = 100;  ///< reroutes' pending dials per backend

  explicit UpstreamState(std::string name) : name_(std::move(name)) {}
  UpstreamState(const UpstreamState&) = delete;
  UpstreamState& operator=(const UpstreamState&) = delete;

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] TokenBucket& reroute_pace() noexcept { return reroute_pace_; }
  [[nodiscard]] RetryBudget& retries() noexcept { return retries_; }
  /// Of reroutes' retries while the budget is exhausted: a tenth of `reroute_pace`.
  [[nodiscard]] TokenBucket& slow_pace() noexcept { return slow_pace_; }
  /// `per_second` 0 = no limit.
  void set_reroute_rate(std::uint32_t per_second) noexcept;
  [[nodiscard]] Circuit& circuit() noexcept { return circuit_; }

  /// A backend could not be dialled because this machine lacks something: a port, an address, a descriptor.
  void count_shortage() noexcept { shortages_.fetch_add(1, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t shortages() const noexcept {
    return shortages_.load(std::memory_order_relaxed);
  }

  [[nodiscard]] Queue& queue() noexcept { return queue_; }
  [[nodiscard]] Moved& moved() noexcept { return moved_; }  ///< sessions with a sticky cookie

  /// A connected client's session found no place: it asks again within `held_sessions_ask_within`, and until
  /// then handshakes in the queue leave free places to it.
  void reroute_found_no_place(TimePoint now) noexcept {
    reroute_denied_at_.store(now, std::memory_order_relaxed);
  }
  /// Until when; may have passed.
  [[nodiscard]] TimePoint reroutes_first_until() const noexcept {
    const TimePoint denied = reroute_denied_at_.load(std::memory_order_relaxed);
    return denied == TimePoint{} ? denied : denied + held_sessions_ask_within;
  }
  static constexpr std::chrono::seconds held_sessions_ask_within{2};  ///< session::Reroute's longest wait

  /// Grows whenever one of its backends has become eligible or ceases to be, or has another weight.
  [[nodiscard]] std::uint64_t changes() const noexcept { return changes_.load(std::memory_order_acquire); }
  void changed() noexcept {
    changes_.fetch_add(1, std::memory_order_release);
    queue_.wake_first();
  }

  /// In the config in force. When it goes its sessions are closed, those aside whose turn has not come when
  /// it is back.
  [[nodiscard]] bool is_present() const noexcept { return present_.load(std::memory_order_relaxed); }
  void set_present(bool present) noexcept { present_.store(present, std::memory_order_relaxed); }

  std::atomic<std::uint32_t> early_death_ms{
      0};                                     ///< a leg lost younger than this has died early; 0 = none has
  std::atomic<std::uint32_t> move_rate{500};  ///< planned moves a second, over all threads; 0 = no limit

  void count(StickyResult result) noexcept {
    sticky_[static_cast<std::size_t>(result)].fetch_add(1, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t count_of(StickyResult result) const noexcept {
    return sticky_[static_cast<std::size_t>(result)].load(std::memory_order_relaxed);
  }
  void count(Cause cause, RerouteResult result) noexcept {
    reroutes_[static_cast<std::size_t>(cause)][static_cast<std::size_t>(result)].fetch_add(
        1, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t reroutes(Cause cause, RerouteResult result) const noexcept {
    return reroutes_[static_cast<std::size_t>(cause)][static_cast<std::size_t>(result)].load(
        std::memory_order_relaxed);
  }

 private:
  const std::string name_;
  std::atomic<bool> present_{true};
  TokenBucket reroute_pace_{5'000};
  TokenBucket slow_pace_{500};
  RetryBudget retries_;
  Queue queue_;
  Moved moved_;
  std::atomic<std::uint64_t> changes_{0};
  std::atomic<std::uint64_t> shortages_{0};
  std::atomic<TimePoint> reroute_denied_at_{TimePoint{}};
  std::array<std::atomic<std::uint64_t>, sticky_result_count> sticky_{};
  Circuit circuit_;
  std::array<std::array<std::atomic<std::uint64_t>, reroute_result_count>, cause_count> reroutes_{};
};

}  // namespace holdfast::upstream
