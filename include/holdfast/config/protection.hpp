#pragma once
// What keeps clients from hurting the proxy, each other and the backends: limits of listeners, routes and
// upstreams. Field names are the JSON keys; they stand directly in the listener and the route.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/meter.hpp"
#include "holdfast/config/address.hpp"

namespace holdfast::config {

/// Who may come: nobody in `deny`; where `allow` is not empty, only who is in it.
struct Access {
  std::vector<Network> allow;  // up to 1000; empty = anybody (default)
  std::vector<Network> deny;   // up to 1000; default none

  [[nodiscard]] bool is_open() const noexcept { return allow.empty() && deny.empty(); }
  /// Addresses that are none (a unix socket's) are let in.
  [[nodiscard]] bool admits(const SocketAddress& client) const noexcept;
  bool operator==(const Access&) const = default;
};

/// Of a listener. Per address: IPv6 ones are counted by /64.
struct ListenerProtection {
  std::uint64_t max_sessions_per_ip = 0;               // connections; 0 = no limit (default), ..10^9
  std::uint32_t max_handshakes_per_second = 0;         // of all clients; 0 = no limit (default), ..1000000
  std::uint32_t handshake_burst = 0;                   // 0 = one second's worth (default), ..1000000
  std::uint32_t max_handshakes_per_second_per_ip = 0;  // 0 = no limit (default), ..1000000
  std::uint32_t handshake_burst_per_ip = 0;            // 0 = one second's worth (default), ..1000000
  Access access;                                       // allow, deny

  [[nodiscard]] Rate rate() const noexcept { return {max_handshakes_per_second, handshake_burst}; }
  [[nodiscard]] Rate rate_per_ip() const noexcept {
    return {max_handshakes_per_second_per_ip, handshake_burst_per_ip};
  }
  bool operator==(const ListenerProtection&) const = default;
};

/// What happens to a client that sends faster than it may.
enum class RateMode : std::uint8_t { pause, close };
[[nodiscard]] std::string_view to_string(RateMode value) noexcept;

/// Of a route. The rates are of one session, from the client to the backend.
struct RouteProtection {
  enum class Origin : std::uint8_t { optional, required };  // in the file: false | true

  std::vector<std::string> origins;           // patterns (origin.hpp), up to 1000; empty = any (default)
  Origin require_origin = Origin::optional;   // required = also who sends no Origin is refused; default false
  Access access;                              // allow, deny
  std::uint32_t max_messages_per_second = 0;  // messages, pings and pongs; 0 = no limit (default), ..1000000
  std::uint32_t message_burst = 0;            // 0 = one second's worth (default), ..1000000
  std::uint64_t max_bytes_per_second = 0;     // wire bytes; 0 = no limit (default), ..1 TiB
  std::uint64_t byte_burst = 0;               // 0 = one second's worth (default), ..1 TiB
  RateMode rate_mode = RateMode::pause;       // pause | close; default pause
  std::uint32_t max_fragments = 0;            // frames of one message; 0 = no limit (default), ..1000000

  bool operator==(const RouteProtection&) const = default;
};

/// Of an upstream: what is too much for all of it, whatever its backends say.
struct CircuitBreaker {
  std::uint64_t max_sessions =
      0;                          // those being set up and those between backends too; 0 = no limit (default)
  std::uint32_t max_pending = 0;  // backends being dialled at once; 0 = no limit (default), ..1000000
  std::uint32_t retry_percent = 20;           // retries that first tries earn; 0..100; default 20
  std::uint32_t min_retries_per_second = 10;  // that come by themselves; 0..100000; default 10

  bool operator==(const CircuitBreaker&) const = default;
};

}  // namespace holdfast::config
