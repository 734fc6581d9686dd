#pragma once
// How many TLS handshakes a setup thread works on at once; the others wait their turn (first come, first
// served) within their own deadline. A storm costs queueing, not 72 KB and 400 µs for everyone at the same
// time.
//
// Thread: the io_context's.

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdint>
#include <list>

#include "holdfast/base/clock.hpp"

namespace holdfast::frontend {

class Gate {
 public:
  explicit Gate(std::uint32_t places) noexcept : free_(places) {}
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  /// A place behind the gate; given back when it dies.
  class Pass {
   public:
    Pass() = default;
    explicit Pass(Gate& gate) noexcept : gate_(&gate) {}
    Pass(Pass&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
    Pass& operator=(Pass&& other) noexcept {
      std::swap(gate_, other.gate_);
      return *this;
    }
    ~Pass() {
      if (gate_ != nullptr) gate_->leave();
    }
    explicit operator bool() const noexcept { return gate_ != nullptr; }

   private:
    Gate* gate_ = nullptr;
  };

  /// Nobody else could enter now.
  [[nodiscard]] bool crowded() const noexcept { return free_ == 0; }

  /// An empty Pass when `deadline` came first.
  [[nodiscard]] boost::asio::awaitable<Pass> enter(boost::asio::io_context& io, TimePoint deadline) {
    if (free_ > 0 && waiting_.empty()) {
      --free_;
      co_return Pass(*this);
    }
    Waiter waiter(io, *this);
    waiter.timer.expires_at(deadline);
    co_await waiter.timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    if (!waiter.called) co_return Pass();
    waiter.called = false;  // the place is the Pass's now
    co_return Pass(*this);
  }

 private:
  struct Waiter {
    Waiter(boost::asio::io_context& io, Gate& of)
        : timer(io), gate(of), place(of.waiting_.insert(of.waiting_.end(), this)) {}
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;
    ~Waiter() {
      if (called) gate.leave();
      if (queued) gate.waiting_.erase(place);
    }
    boost::asio::steady_timer timer;
    Gate& gate;
    std::list<Waiter*>::iterator place;
    bool queued = true;
    bool called = false;  ///< its turn has come: it holds a place
  };

  void leave() {
    if (waiting_.empty()) {
      ++free_;
      return;
    }
    Waiter* next = waiting_.front();
    waiting_.pop_front();
    next->queued = false;
    next->called = true;
    next->timer.cancel();
  }

  std::uint32_t free_;
  std::list<Waiter*> waiting_;
};

}  // namespace holdfast::frontend
