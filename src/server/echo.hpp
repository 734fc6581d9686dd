#pragma once
// An embedded echo backend for `holdfast demo`: a WebSocket server on a loopback port that sends every
// message back. Built from the same parts as the proxy (ws, net); it is not meant to be fast.
//
// Threads: construction and destruction any; `stop` any. It has a thread of its own.

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "holdfast/base/error.hpp"
#include "holdfast/net/socket.hpp"

namespace holdfast::server {

class EchoBackend {
 public:
  /// Listens on 127.0.0.1 and a free port. Each session gets a first message that names the backend.
  [[nodiscard]] static Result<std::unique_ptr<EchoBackend>> start(std::string name);
  ~EchoBackend() { stop(); }
  EchoBackend(const EchoBackend&) = delete;
  EchoBackend& operator=(const EchoBackend&) = delete;

  [[nodiscard]] const std::string& address() const noexcept { return address_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// Dies as a killed process does: all its connections are cut without a Close.
  void stop();

 private:
  EchoBackend(std::string name, net::Socket socket);

  std::string name_;
  std::string address_;
  net::Socket listener_;
  std::unique_ptr<boost::asio::io_context> io_;
  std::thread thread_;
};

}  // namespace holdfast::server
