#pragma once
// The only way into a pump thread: a lock-free stack of intrusive nodes and an eventfd. A sender never blocks
// and never allocates; a node is in one inbox at a time. The receiver gets the items in the order they were
// sent.

#include <atomic>
#include <cstdint>

namespace holdfast {

/// Derive what is to be sent. Ownership goes with the item: the receiver's `deliver` takes or frees it.
class InboxItem {
 public:
  virtual ~InboxItem() = default;

 private:
  friend class Inbox;
  InboxItem* next_ = nullptr;
};

class Inbox {
 public:
  Inbox();  ///< throws std::system_error when no eventfd can be had
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;
  ~Inbox();  ///< frees items that nobody took

  /// Any thread. Wakes the receiver when the inbox was empty.
  void push(InboxItem* item) noexcept;

  /// Any thread: wakes the receiver without sending anything.
  void ring() noexcept;

  /// Receiver only: everything that has come, oldest first, as a chain; walk it with `take_next`.
  [[nodiscard]] InboxItem* take_all() noexcept;
  [[nodiscard]] static InboxItem* take_next(InboxItem*& chain) noexcept;

  /// Readable when there is something to take (for the receiver's epoll set).
  [[nodiscard]] int wake_descriptor() const noexcept { return event_; }

 private:
  std::atomic<InboxItem*> top_{nullptr};
  int event_;
};

}  // namespace holdfast
