#pragma once
// The listening sockets of the process, by listener key: bound on the control thread, accepted on by setup
// threads. Control thread only.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "holdfast/base/error.hpp"
#include "holdfast/config/config.hpp"
#include "holdfast/frontend/setup_thread.hpp"
#include "holdfast/net/socket.hpp"

namespace holdfast::server {

class Listeners {
 public:
  /// Sockets that are bound but not yet given to the setup threads: a reload that fails lets them go.
  struct Bound {
    std::string key;
    std::vector<net::Socket> sockets;  ///< one, or one per setup thread
    net::Sharing sharing = net::Sharing::exclusive;
    std::string address;  ///< the one really bound
    std::string unlink;   ///< a unix socket's path, removed when it closes; empty = nothing
  };

  explicit Listeners(std::vector<frontend::SetupThread*> threads) : threads_(std::move(threads)) {}

  /// Binds those of `config` that are not open yet.
  [[nodiscard]] Result<std::vector<Bound>> bind_new(const config::Config& config) const;
  /// Stops accepting on those that `config` no longer has; what waited in their queues has been taken when it
  /// returns. Blocks while the setup threads finish what they are at.
  void close_removed(const config::Config& config);
  void open(std::vector<Bound> bound);
  void close_all();

  /// "" when it isn't open.
  [[nodiscard]] std::string bound_address(const std::string& key) const;
  [[nodiscard]] bool all_open(const config::Config& config) const;

 private:
  struct Open {
    std::string address;
    std::string unlink;
  };
  [[nodiscard]] Result<Bound> bind_one(const config::Listener& listener) const;
  void close(const std::string& key, const Open& open);  ///< blocks, see close_removed

  std::vector<frontend::SetupThread*> threads_;
  std::map<std::string, Open> open_;
};

}  // namespace holdfast::server
