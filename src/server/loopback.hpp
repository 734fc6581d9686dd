#pragma once
// A small WebSocket server on a loopback port, for what `holdfast demo` embeds: accepting and the handshake.
// Built from the same parts as the proxy (ws, net); it is not meant to be fast.
//
// Threads: construction and destruction any; `stop` any. It has a thread of its own, on which `serve` runs.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "holdfast/base/error.hpp"
#include "holdfast/net/async_leg.hpp"
#include "holdfast/net/socket.hpp"

namespace holdfast::server {

class LoopbackServer {
 public:
  /// One connection from its accept to its end.
  using Serve = std::function<boost::asio::awaitable<void>(boost::asio::io_context&, net::Socket)>;

  /// Listens on 127.0.0.1 and a free port.
  [[nodiscard]] static Result<std::unique_ptr<LoopbackServer>> start(Serve serve);
  ~LoopbackServer() { stop(); }
  LoopbackServer(const LoopbackServer&) = delete;
  LoopbackServer& operator=(const LoopbackServer&) = delete;

  [[nodiscard]] const std::string& address() const noexcept { return address_; }
  /// Dies as a killed process does: all its connections are cut without a Close.
  void stop();

 private:
  LoopbackServer(net::Socket socket, Serve serve);

  std::string address_;
  Serve serve_;
  net::Socket listener_;
  std::unique_ptr<boost::asio::io_context> io_;
  std::thread thread_;
};

/// What a client's handshake request asked for.
struct Greeting {
  std::string answer;  ///< the 101; empty when the client is gone or its request is no handshake
  std::string target;
  std::string behind;  ///< bytes that came with the request
};

[[nodiscard]] boost::asio::awaitable<Greeting> shake_hands(net::AsyncLeg& leg);

}  // namespace holdfast::server
