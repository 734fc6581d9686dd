#pragma once
// Notices that a client has gone while a backend is dialled for it: else a mute backend would hold both
// connections until all timeouts have passed.
//
// Most backends answer within a few milliseconds, and watching costs three system calls: it begins after
// 20 ms. Until then all watches of a thread share one timer.
//
// Thread: the io_context's.

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <utility>

#include "holdfast/base/clock.hpp"
#include "holdfast/net/async_leg.hpp"

namespace holdfast::frontend {

class Watch;

/// The watches of one setup thread. Outlives the coroutines that hold them.
class Watches {
 public:
  explicit Watches(boost::asio::io_context& io) noexcept : io_(io) {}
  Watches(const Watches&) = delete;
  Watches& operator=(const Watches&) = delete;

 private:
  friend class Watch;
  void add(Watch& watch);
  void remove(Watch& watch) noexcept;
  void set_timer(TimePoint when);
  void begin_due();

  boost::asio::io_context& io_;
  Watch* first_ = nullptr;  ///< of those that have not begun; the next one due
  Watch* last_ = nullptr;
  bool timer_is_set_ = false;
};

/// Works as long as it lives; `client` outlives it.
class Watch {
 public:
  Watch(Watches& watches, net::AsyncLeg& client);
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch();

  /// Requested once the client has gone.
  [[nodiscard]] net::GiveUp& give_up() noexcept { return give_up_; }
  /// Then this timer is cancelled, too: of somebody who waits for something else than a leg.
  void wakes(std::weak_ptr<boost::asio::steady_timer> sleeper) noexcept { sleeper_ = std::move(sleeper); }

 private:
  friend class Watches;
  void begin();
  void look();

  Watches& watches_;
  net::AsyncLeg& client_;
  net::GiveUp give_up_;
  std::weak_ptr<boost::asio::steady_timer> sleeper_;
  TimePoint due_;
  Watch* before_ = nullptr;
  Watch* after_ = nullptr;
  std::shared_ptr<Watch*> self_;  ///< since it has begun; handlers that come later find null in it
  std::optional<boost::asio::steady_timer> again_;
};

}  // namespace holdfast::frontend
