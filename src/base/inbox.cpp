#include "holdfast/base/inbox.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <system_error>

namespace holdfast {

Inbox::Inbox() : event_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (event_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
}

Inbox::~Inbox() {
  InboxItem* chain = take_all();
  while (chain != nullptr) delete take_next(chain);
  close(event_);
}

void Inbox::push(InboxItem* item) noexcept {
  InboxItem* top = top_.load(std::memory_order_relaxed);
  do {
    item->next_ = top;
  } while (!top_.compare_exchange_weak(top, item, std::memory_order_release, std::memory_order_relaxed));
  if (top == nullptr) ring();  // else somebody has rung already
}

void Inbox::ring() noexcept {
  const std::uint64_t one = 1;
  // Can only fail when the counter is full, and then the receiver is already being woken.
  [[maybe_unused]] const auto written = write(event_, &one, sizeof one);
}

InboxItem* Inbox::take_all() noexcept {
  std::uint64_t rung = 0;
  [[maybe_unused]] const auto got = read(event_, &rung, sizeof rung);
  InboxItem* newest_first = top_.exchange(nullptr, std::memory_order_acquire);
  InboxItem* oldest_first = nullptr;
  while (newest_first != nullptr) {
    InboxItem* item = newest_first;
    newest_first = item->next_;
    item->next_ = oldest_first;
    oldest_first = item;
  }
  return oldest_first;
}

InboxItem* Inbox::take_next(InboxItem*& chain) noexcept {
  InboxItem* item = chain;
  if (item != nullptr) chain = item->next_;
  return item;
}

}  // namespace holdfast
