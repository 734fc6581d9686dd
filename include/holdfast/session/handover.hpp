#pragma once
// A ready session on its way from a setup thread to its pump thread.

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "holdfast/base/clock.hpp"
#include "holdfast/net/leg.hpp"
#include "holdfast/session/access.hpp"
#include "holdfast/session/address_table.hpp"
#include "holdfast/session/attempt.hpp"
#include "holdfast/session/route_state.hpp"
#include "holdfast/session/shard_item.hpp"
#include "holdfast/upstream/backend.hpp"

namespace holdfast::session {

/// How many connections a listener has, set-up ones included, for its max_sessions. Lives as long as the
/// process.
struct ListenerLoad {
  std::atomic<std::uint64_t> connections{0};
};

/// One connection's place in a ListenerLoad; move-only.
class ListenerSeat {
 public:
  ListenerSeat() = default;
  /// Nothing when there are `most` already; 0 = no limit.
  [[nodiscard]] static std::optional<ListenerSeat> take(ListenerLoad& load, std::uint64_t most) noexcept {
    std::uint64_t present = load.connections.load(std::memory_order_relaxed);
    do {
      if (most != 0 && present >= most) return std::nullopt;
    } while (!load.connections.compare_exchange_weak(present, present + 1, std::memory_order_relaxed));
    return ListenerSeat(load);
  }
  ListenerSeat(ListenerSeat&& other) noexcept
      : load_(std::exchange(other.load_, nullptr)), address_(std::move(other.address_)) {}
  ListenerSeat& operator=(ListenerSeat&& other) noexcept {
    std::swap(load_, other.load_);
    std::swap(address_, other.address_);
    return *this;
  }
  ~ListenerSeat() {
    if (load_ != nullptr) load_->connections.fetch_sub(1, std::memory_order_relaxed);
  }
  /// It also counts for its client's address.
  void count_for(AddressTable::Place address) noexcept { address_ = std::move(address); }

 private:
  explicit ListenerSeat(ListenerLoad& load) noexcept : load_(&load) {}
  ListenerLoad* load_ = nullptr;
  AddressTable::Place address_;
};

struct Handover final : ShardItem {
  explicit Handover(upstream::Seat taken) : seat(std::move(taken)) {}

  std::unique_ptr<net::Leg> client;
  std::unique_ptr<net::Leg> backend;
  upstream::Seat seat;
  upstream::Circuit::Place upstream_place;
  ListenerSeat listener_seat;
  RouteState* route = nullptr;
  metrics::SessionCells* open_sessions = nullptr;  ///< of this listener, route and pump thread
  Story story;                                     ///< upstream and backend are taken from the seat
  std::string early_to_backend;                    ///< what the client sent behind its request
  std::string early_to_client;                     ///< what the backend sent behind its 101
  SessionId id;
  std::unique_ptr<const Continuation> continuation;  ///< null = it can't be rerouted
  Continuity continuity = Continuity::whole;
  std::uint32_t token_lasts_100ms = 0;  ///< tenths of seconds until its token is over; 0 = it has no end
  std::uint8_t allowed_rsv = 0;         ///< of both directions' frames, see ws::Limits

  void deliver_to(Shard& shard) noexcept override;
};

}  // namespace holdfast::session
