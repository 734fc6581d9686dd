#pragma once
// What live sessions read of their route: the limits in force now, and the route's counters. Sessions keep a
// pointer to this and not a snapshot, so that a reload's new limits reach them and old snapshots can go.
//
// Threads: written by the control thread (`apply`), read by setup and pump threads. Lives as long as the
// process.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "holdfast/config/config.hpp"
#include "holdfast/metrics/cells.hpp"

namespace holdfast::session {

class RouteState {
 public:
  /// `cells`: one block per pump thread, in the order of the threads.
  RouteState(std::string name, std::vector<metrics::RouteCells*> cells)
      : name_(std::move(name)), cells_(std::move(cells)) {}
  RouteState(const RouteState&) = delete;
  RouteState& operator=(const RouteState&) = delete;

  /// Each value is taken on its own: a session may see a mixture for a moment.
  void apply(const config::Route& route) noexcept {
    max_message.store(route.max_message, std::memory_order_relaxed);
    max_message_to_client.store(route.max_message_to_client, std::memory_order_relaxed);
    idle_timeout_ms.store(clamp(route.idle_timeout), std::memory_order_relaxed);
    max_age_ms.store(clamp(route.max_age), std::memory_order_relaxed);
    close_timeout_ms.store(clamp(route.close_timeout), std::memory_order_relaxed);
    ping_interval_ms.store(clamp(route.ping.interval), std::memory_order_relaxed);
    ping_timeout_ms.store(clamp(route.ping.timeout), std::memory_order_relaxed);
  }

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] metrics::RouteCells& cells(std::size_t pump_thread) const noexcept {
    return *cells_[pump_thread];
  }

  std::atomic<std::uint64_t> max_message{0};            ///< bytes, 0 = no limit
  std::atomic<std::uint64_t> max_message_to_client{0};  ///< bytes, 0 = no limit
  std::atomic<std::uint32_t> idle_timeout_ms{0};        ///< 0 = off
  std::atomic<std::uint32_t> max_age_ms{0};             ///< 0 = off
  std::atomic<std::uint32_t> close_timeout_ms{5'000};
  std::atomic<std::uint32_t> ping_interval_ms{20'000};  ///< 0 = off
  std::atomic<std::uint32_t> ping_timeout_ms{10'000};

 private:
  // Half of what a Tick can tell apart (24 days): longer is "never" for a session.
  static std::uint32_t clamp(std::chrono::milliseconds duration) noexcept {
    constexpr std::int64_t longest = 24LL * 24 * 3600 * 1000;
    return static_cast<std::uint32_t>(duration.count() < longest ? duration.count() : longest);
  }

  const std::string name_;
  const std::vector<metrics::RouteCells*> cells_;
};

}  // namespace holdfast::session
