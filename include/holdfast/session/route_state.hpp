#pragma once
// What live sessions read of their route: the limits in force now, and the route's counters. Sessions keep a
// pointer to this and not a snapshot, so that a reload's new limits reach them and old snapshots can go.
//
// Threads: written by the control thread (`apply`), read by setup and pump threads. Lives as long as the
// process.

#include <array>
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
    at_expiry.store(route.auth && route.auth->jwt ? route.auth->jwt->at_expiry : config::Jwt::stay,
                    std::memory_order_relaxed);
    apply(route.reroute);
    apply(route.protection);
  }

  /// Whether `reroute.on` has the occasion of this cause.
  [[nodiscard]] bool reroutes_on(Cause cause) const noexcept {
    return (reroute_on.load(std::memory_order_relaxed) & bit(occasion(cause))) != 0;
  }
  /// Whether a backend's Close with this code (config::Reroute::no_code for none) means "I am going".
  [[nodiscard]] bool is_going(std::uint16_t code) const noexcept {
    for (const auto& each : close_codes) {
      if (each.load(std::memory_order_relaxed) == code) return true;
    }
    return false;
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

  // config::RouteProtection; who may come is the setup plane's.
  std::atomic<bool> has_rates{false};  ///< some of the rates is a limit
  std::atomic<std::uint64_t> max_messages_per_second{0};
  std::atomic<std::uint64_t> message_burst{0};
  std::atomic<std::uint64_t> max_bytes_per_second{0};
  std::atomic<std::uint64_t> byte_burst{0};
  std::atomic<config::RateMode> rate_mode{config::RateMode::pause};
  std::atomic<std::uint32_t> max_fragments{0};              ///< 0 = no limit
  std::atomic<std::uint16_t> at_expiry{config::Jwt::stay};  ///< Close code when the token is over; 0 = none

  // config::Reroute; `compression` and `secret` are the setup plane's, which has the snapshot.
  std::atomic<std::uint8_t> reroute_on{0};  ///< bits of Occasion
  std::atomic<std::uint32_t> hold_ms{10'000};
  std::atomic<std::uint64_t> hold_bytes{64ULL << 10};
  std::atomic<config::HoldUnit> hold_unit{config::HoldUnit::frame};
  std::atomic<std::uint32_t> attempts{5};
  std::array<std::atomic<std::uint16_t>, config::Reroute::most_close_codes> close_codes{};  ///< 0 = unused
  std::atomic<std::uint64_t> resend_unanswered{0};  ///< bytes, 0 = only what is incomplete
  std::atomic<std::uint32_t> preamble{0};           ///< messages; taken at the start of a session
  std::atomic<std::uint32_t> preamble_answers{0};
  std::atomic<config::MoveOrder> move{config::MoveOrder::make_first};
  std::atomic<std::uint32_t> quiet_ms{50};

 private:
  void apply(const config::Reroute& reroute) noexcept {
    std::uint8_t occasions = 0;
    for (const Occasion each : reroute.on) occasions = static_cast<std::uint8_t>(occasions | bit(each));
    reroute_on.store(occasions, std::memory_order_relaxed);
    hold_ms.store(clamp(reroute.hold), std::memory_order_relaxed);
    hold_bytes.store(reroute.hold_bytes, std::memory_order_relaxed);
    hold_unit.store(reroute.hold_unit, std::memory_order_relaxed);
    attempts.store(reroute.attempts, std::memory_order_relaxed);
    for (std::size_t n = 0; n < close_codes.size(); ++n) {
      const bool used = n < reroute.close_codes.size();
      close_codes[n].store(used ? reroute.close_codes[n] : std::uint16_t{0}, std::memory_order_relaxed);
    }
    resend_unanswered.store(reroute.resend_unanswered, std::memory_order_relaxed);
    preamble.store(reroute.preamble, std::memory_order_relaxed);
    preamble_answers.store(reroute.preamble_answers, std::memory_order_relaxed);
    move.store(reroute.move, std::memory_order_relaxed);
    quiet_ms.store(clamp(reroute.quiet), std::memory_order_relaxed);
  }
  void apply(const config::RouteProtection& protection) noexcept {
    max_messages_per_second.store(protection.max_messages_per_second, std::memory_order_relaxed);
    message_burst.store(protection.message_burst, std::memory_order_relaxed);
    max_bytes_per_second.store(protection.max_bytes_per_second, std::memory_order_relaxed);
    byte_burst.store(protection.byte_burst, std::memory_order_relaxed);
    rate_mode.store(protection.rate_mode, std::memory_order_relaxed);
    max_fragments.store(protection.max_fragments, std::memory_order_relaxed);
    has_rates.store(protection.max_messages_per_second != 0 || protection.max_bytes_per_second != 0,
                    std::memory_order_relaxed);
  }
  // Half of what a Tick can tell apart (24 days): longer is "never" for a session.
  static std::uint32_t clamp(std::chrono::milliseconds duration) noexcept {
    constexpr std::int64_t longest = 24LL * 24 * 3600 * 1000;
    return static_cast<std::uint32_t>(duration.count() < longest ? duration.count() : longest);
  }

  const std::string name_;
  const std::vector<metrics::RouteCells*> cells_;
};

}  // namespace holdfast::session
