#include "holdfast/upstream/queue.hpp"

namespace holdfast::upstream {

std::string_view text(QueueResult result) noexcept {
  constexpr std::array<std::string_view, queue_result_count> words{"served", "full", "timeout", "gone"};
  return words[static_cast<std::size_t>(result)];
}

Queue::Place::Place(Queue& queue, Waiter& waiter, std::size_t most) : queue_(queue) {
  {
    const std::lock_guard lock(queue_.mutex_);
    if (queue_.waiting_.size() >= most) return;
    self_ = queue_.waiting_.insert(queue_.waiting_.end(), &waiter);
    queue_.size_.store(queue_.waiting_.size(), std::memory_order_relaxed);
    waits_ = true;
  }
  // See wake_first: the caller looks for a place after this.
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

bool Queue::Place::is_first() const {
  const std::lock_guard lock(queue_.mutex_);
  return waits_ && self_ == queue_.waiting_.begin();
}

void Queue::Place::leave() noexcept {
  if (!waits_) return;
  waits_ = false;
  const std::lock_guard lock(queue_.mutex_);
  const bool was_first = self_ == queue_.waiting_.begin();
  queue_.waiting_.erase(self_);
  queue_.size_.store(queue_.waiting_.size(), std::memory_order_relaxed);
  if (was_first && !queue_.waiting_.empty()) queue_.waiting_.front()->wake();
}

void Queue::wake_first_of_some() noexcept {
  const std::lock_guard lock(mutex_);
  if (!waiting_.empty()) waiting_.front()->wake();
}

}  // namespace holdfast::upstream
