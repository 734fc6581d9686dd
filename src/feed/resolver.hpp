#pragma once
// Host names of sources. The system's resolver blocks, for half a minute when no name server answers, and
// can't be called off: each lookup has a thread of its own, which nobody waits for. Who asks for a name that
// is being looked up shares that lookup, so there are never more threads than names.
//
// Thread: the io_context's, but for the lookups. Lifetime: not longer than the io_context; a lookup may
// outlive both.

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "holdfast/config/address.hpp"

namespace holdfast::feed {

class Resolver {
 public:
  /// As config::World::resolve; called on other threads.
  using Resolve =
      std::function<std::vector<config::SocketAddress>(const std::string& host, std::string& error)>;

  /// One name's. All but the thread that looks has it on the io_context's thread.
  struct Lookup {
    bool is_done = false;
    std::vector<config::SocketAddress> sockets;  ///< with port 0
    std::string error;                           ///< where there are none
    std::vector<boost::asio::steady_timer*> waiting;
  };

  /// While it lives, the end of the lookup cancels the timer.
  class Waiting {
   public:
    Waiting(std::shared_ptr<Lookup> lookup, boost::asio::steady_timer& timer)
        : lookup_(std::move(lookup)), timer_(timer) {
      lookup_->waiting.push_back(&timer_);
    }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
    ~Waiting() { std::erase(lookup_->waiting, &timer_); }

   private:
    std::shared_ptr<Lookup> lookup_;
    boost::asio::steady_timer& timer_;
  };

  Resolver(boost::asio::io_context& io, Resolve resolve);
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;
  ~Resolver();

  /// Begins to look, or joins who does. It may be done already when this returns: no thread could be had.
  [[nodiscard]] std::shared_ptr<Lookup> look_up(const std::string& host);

 private:
  /// What a lookup's thread may find closed.
  struct Gate {
    std::mutex mutex;
    boost::asio::io_context* io;  ///< null: the resolver is gone
  };
  void finish(const std::string& host, const std::shared_ptr<Lookup>& lookup);

  Resolve resolve_;
  std::shared_ptr<Gate> gate_;
  std::map<std::string, std::shared_ptr<Lookup>> under_way_;
};

}  // namespace holdfast::feed
