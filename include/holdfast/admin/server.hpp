#pragma once
// The admin HTTP server: HTTP/1.1 with keep-alive on the control thread's io_context.
//
// Limits: 32 connections (more are answered 503 and closed), 8 KiB of head, 64 KiB of body, 10 s
// for a request to arrive and between requests. All functions are the control thread's.

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "holdfast/admin/control.hpp"
#include "holdfast/base/error.hpp"
#include "holdfast/config/config.hpp"

namespace holdfast::admin {

class Server {
 public:
  /// `control` outlives the server and the io_context's handlers.
  Server(boost::asio::io_context& io, Control& control);
  /// Closes everything; handlers still queued in the io_context find nothing to do.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Takes token, metrics_open and bind, at start and at every reload. A changed bind opens the new
  /// socket first and keeps the old one if that fails. Without a bind the server is closed.
  [[nodiscard]] Result<void> apply(const config::Admin& settings);

  /// Bound TCP port; 0 if closed or not TCP.
  [[nodiscard]] std::uint16_t port() const noexcept;

  /// Stops accepting and closes all connections.
  void close();

 private:
  struct State;
  std::shared_ptr<State> state_;  // shared with the coroutines, which may outlive *this
};

}  // namespace holdfast::admin
