#pragma once
// Who waits for a place at an upstream whose backends are all full: first come, first served, over all
// threads and across snapshots. Only the first may pick; it is woken when a place is given back, and when it
// leaves it wakes the next, who finds out whether there is another one.
//
// Threads: any, for every function. A place that is given back while nobody waits costs one look at a
// counter.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <string_view>

namespace holdfast::upstream {

/// How a wait ended.
enum class QueueResult : std::uint8_t {
  served,   ///< there is a place
  full,     ///< did not even begin: `queue.length` wait already
  timeout,  ///< `queue.timeout` or the set-up's own deadline
  gone,     ///< the client went away
};
inline constexpr std::size_t queue_result_count = 4;
[[nodiscard]] std::string_view text(QueueResult result) noexcept;

class Queue {
 public:
  /// Called with the queue's lock held, by the thread that gives a place back: it must only send word.
  class Waiter {
   public:
    virtual void wake() noexcept = 0;

   protected:
    ~Waiter() = default;
  };

  /// One waiter's place in the queue; leaves it in the destructor. The queue and the waiter outlive it.
  class Place {
   public:
    Place(Queue& queue, Waiter& waiter, std::size_t most);
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place() { leave(); }

    /// False: `most` wait already.
    [[nodiscard]] explicit operator bool() const noexcept { return waits_; }
    [[nodiscard]] bool is_first() const;
    void leave() noexcept;

   private:
    Queue& queue_;
    std::list<Waiter*>::iterator self_;
    bool waits_ = false;
  };

  Queue() = default;
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  /// Something has changed that may let the first one in.
  void wake_first() noexcept {
    // With the fence in Place: either we see who waits, or they see what we have given back.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (size() != 0) wake_first_of_some();
  }
  [[nodiscard]] std::size_t size() const noexcept { return size_.load(std::memory_order_relaxed); }

  void count(QueueResult result) noexcept {
    results_[static_cast<std::size_t>(result)].fetch_add(1, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t count_of(QueueResult result) const noexcept {
    return results_[static_cast<std::size_t>(result)].load(std::memory_order_relaxed);
  }

 private:
  void wake_first_of_some() noexcept;

  mutable std::mutex mutex_;
  std::list<Waiter*> waiting_;
  std::atomic<std::size_t> size_{0};  ///< of waiting_
  std::array<std::atomic<std::uint64_t>, queue_result_count> results_{};
};

}  // namespace holdfast::upstream
