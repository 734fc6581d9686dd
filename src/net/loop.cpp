#include "holdfast/net/loop.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

namespace holdfast::net {

namespace {
constexpr std::uint32_t longest_sleep_ms = 1000;
// Which leg of the handler an event belongs to travels in the pointer's two lowest bits.
constexpr std::uint64_t which_mask = 3;
constexpr std::uint64_t inbox_mark = 0;
}  // namespace

Loop::Loop(Host& host)
    : host_(host),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      now_(to_tick(Clock::now())),
      timers_(now_),
      scratch_(std::make_unique<std::byte[]>(scratch_bytes)) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.u64 = inbox_mark;
  if (epoll_ < 0 || epoll_ctl(epoll_, EPOLL_CTL_ADD, inbox_.wake_descriptor(), &event) != 0) {
    throw std::system_error(errno, std::generic_category(), "epoll");
  }
}

Loop::~Loop() {
  close(epoll_);
}

bool Loop::add(Leg& leg, Handler& handler, unsigned which) noexcept {
  leg.use_scratch(cipher_);
  return watch(leg.descriptor(), handler, which);
}

bool Loop::add(PumpLeg& leg, Handler& handler, unsigned which) noexcept {
  leg.use_scratch(cipher_);
  return watch(leg.descriptor(), handler, which);
}

bool Loop::watch(int descriptor, Handler& handler, unsigned which) noexcept {
  static_assert(alignof(Handler) > which_mask);
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.u64 = reinterpret_cast<std::uintptr_t>(&handler) | (which & which_mask);
  return epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

void Loop::remove(Leg& leg) noexcept {
  epoll_ctl(epoll_, EPOLL_CTL_DEL, leg.descriptor(), nullptr);
}

void Loop::requeue(Handler& handler, unsigned which) {
  const auto bit = static_cast<std::uint8_t>(1U << which);
  if ((handler.queued_ & bit) != 0) return;
  handler.queued_ = static_cast<std::uint8_t>(handler.queued_ | bit);
  requeued_.push_back({&handler, which});
}

void Loop::forget(Handler& handler) noexcept {
  if (handler.queued_ == 0) return;
  std::erase_if(requeued_, [&](const Again& again) { return again.handler == &handler; });
}

void Loop::stop() noexcept {
  stopping_.store(true, std::memory_order_release);
  inbox_.ring();
}

void Loop::run() {
  while (!stopping_.load(std::memory_order_acquire)) turn();
}

void Loop::dispatch_inbox() {
  InboxItem* chain = inbox_.take_all();
  while (InboxItem* item = Inbox::take_next(chain)) host_.deliver(std::unique_ptr<InboxItem>(item));
}

void Loop::dispatch_requeued() {
  running_.swap(requeued_);
  for (const Again& again : running_) {
    again.handler->queued_ = static_cast<std::uint8_t>(again.handler->queued_ & ~(1U << again.which));
    again.handler->on_ready(again.which, {true, false, false, false});
  }
  running_.clear();
}

void Loop::dispatch(const Event& event) noexcept {
  // A leg that waits in the requeue list is read from there, once a turn.
  Readiness ready = event.ready;
  ready.readable = ready.readable && (event.handler->queued_ & (1U << event.which)) == 0;
  event.handler->on_ready(event.which, ready);
}

void Loop::turn_at(Tick now, std::span<const Event> events) {
  now_ = now;
  for (const Event& event : events) dispatch(event);
  dispatch_requeued();
  timers_.advance(now_);
  dispatch_inbox();
  host_.on_turn_end();
}

void Loop::turn() {
  std::array<epoll_event, 256> events;
  const std::uint32_t sleep = requeued_.empty() ? timers_.sleep_ms(now_, longest_sleep_ms) : 0;
  const int count =
      epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), static_cast<int>(sleep));
  const TimePoint woken = Clock::now();
  now_ = to_tick(woken);
  bool inbox_rang = false;
  for (int n = 0; n < count; ++n) {
    const epoll_event& event = events[static_cast<std::size_t>(n)];
    if (event.data.u64 == inbox_mark) {
      inbox_rang = true;
      continue;
    }
    auto* handler = reinterpret_cast<Handler*>(event.data.u64 & ~which_mask);
    const std::uint32_t bits = event.events;
    const bool ending = (bits & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    const auto which = static_cast<unsigned>(event.data.u64 & which_mask);
    dispatch({handler,
              which,
              {(bits & EPOLLIN) != 0 || ending, (bits & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0, ending,
               (bits & EPOLLERR) != 0}});
  }
  dispatch_requeued();
  timers_.advance(now_);
  if (inbox_rang) dispatch_inbox();
  host_.on_turn_end();
  host_.on_turn_measured(Clock::now() - woken);
}

}  // namespace holdfast::net
