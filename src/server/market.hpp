#pragma once
// An embedded source of market data for `holdfast demo`: a WebSocket server on a loopback port that speaks
// Binance's protocol (market_session.hpp) about a market that never was (market_walk.hpp).
//
// Threads: construction and destruction any; `stop` any. It has a thread of its own.

#include <cstdint>
#include <memory>
#include <string>

#include "server/loopback.hpp"

namespace holdfast::server {

class MarketSource {
 public:
  /// Listens on 127.0.0.1 and a free port. The market stands still while nobody is connected.
  [[nodiscard]] static Result<std::unique_ptr<MarketSource>> start(std::uint64_t seed);
  ~MarketSource();
  MarketSource(const MarketSource&) = delete;
  MarketSource& operator=(const MarketSource&) = delete;

  [[nodiscard]] const std::string& address() const noexcept { return server_->address(); }
  /// For a feed's source: combined messages.
  [[nodiscard]] std::string url() const { return "ws://" + address() + "/stream"; }
  /// Dies as a killed process does: all its connections are cut without a Close.
  void stop() { server_->stop(); }

 private:
  class Floor;
  explicit MarketSource(std::unique_ptr<Floor> floor);

  std::unique_ptr<Floor> floor_;  // outlives the connections
  std::unique_ptr<LoopbackServer> server_;
};

}  // namespace holdfast::server
