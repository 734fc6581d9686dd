#pragma once
// An embedded echo backend for `holdfast demo`: a WebSocket server on a loopback port that sends every
// message back. Built from the same parts as the proxy (ws, net); it is not meant to be fast.
//
// Threads: construction and destruction any; `stop` any. It has a thread of its own.

#include <memory>
#include <string>

#include "server/loopback.hpp"

namespace holdfast::server {

class EchoBackend {
 public:
  /// Listens on 127.0.0.1 and a free port. Each session gets a first message that names the backend.
  [[nodiscard]] static Result<std::unique_ptr<EchoBackend>> start(std::string name);
  [[nodiscard]] const std::string& address() const noexcept { return server_->address(); }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// Dies as a killed process does: all its connections are cut without a Close.
  void stop() { server_->stop(); }

 private:
  EchoBackend(std::string name, std::unique_ptr<LoopbackServer> server)
      : name_(std::move(name)), server_(std::move(server)) {}

  std::string name_;
  std::unique_ptr<LoopbackServer> server_;
};

}  // namespace holdfast::server
