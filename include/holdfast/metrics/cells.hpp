#pragma once
// Counting cells. Each has exactly one writing thread, which stores without a locked instruction;
// the control thread reads them at scrape. Blocks start on a cache line of their own, so that two
// writers never share one.

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "holdfast/base/reason.hpp"
#include "holdfast/metrics/refusal.hpp"

namespace holdfast::metrics {

inline constexpr std::size_t cache_line_bytes = 64;

/// Only grows. Relaxed: a scrape may see two cells at slightly different moments.
class Counter {
 public:
  void add(std::uint64_t amount = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// Up and down by the one writer.
class Gauge {
 public:
  void add(std::int64_t amount) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  [[nodiscard]] std::int64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_{0};
};

/// Fixed buckets of durations; the last one has no upper bound.
class Histogram {
 public:
  static constexpr std::size_t max_bounds = 15;

  /// `bounds`: upper bounds in seconds, ascending, at most max_bounds, of static storage.
  explicit Histogram(std::span<const double> bounds) noexcept;

  /// Negative durations count as zero. `times`: so many of this duration.
  void observe(std::chrono::nanoseconds duration, std::uint64_t times = 1) noexcept;

  [[nodiscard]] std::span<const double> bounds() const noexcept { return bounds_; }
  /// Of bucket `index` alone (not cumulative); index == bounds().size() is the open one.
  [[nodiscard]] std::uint64_t bucket(std::size_t index) const noexcept { return counts_[index].value(); }
  [[nodiscard]] double sum_seconds() const noexcept;

 private:
  std::span<const double> bounds_;
  std::array<Counter, max_bounds + 1> counts_;
  Counter sum_ns_;
};

enum class Direction : std::uint8_t { to_backend, to_client };
inline constexpr std::size_t direction_count = 2;

/// The six opcodes of RFC 6455 section 5.2 in a dense order.
inline constexpr std::size_t opcode_count = 6;
[[nodiscard]] constexpr std::size_t opcode_index(std::uint8_t wire_opcode) noexcept {
  return wire_opcode < 8 ? wire_opcode % 3U : 3U + (wire_opcode - 8U) % 3U;
}

/// Close codes as labels: 1000–1015 exact, "3xxx", "4xxx", "none" (0 and 1005: no code on the
/// wire), "other". Bounded, so that a peer can't invent series.
inline constexpr std::size_t code_class_count = 20;
[[nodiscard]] std::size_t code_class(std::uint16_t code) noexcept;
[[nodiscard]] std::string_view code_label(std::size_t code_class_index) noexcept;

/// Writer: one pump thread. Readers may look while sessions are open.
struct alignas(cache_line_bytes) RouteCells {
  struct alignas(cache_line_bytes) Flow {
    std::array<Counter, opcode_count> frames;
    Counter messages;  ///< whole data messages
    Counter bytes;     ///< wire bytes, frame heads included, TLS not
  };
  std::array<Flow, direction_count> flows;
  Counter undelivered;  ///< client messages that no backend can have had whole
  Counter
      unconfirmed;  ///< client messages acknowledged by a lost backend's kernel, not followed by a message
  Counter resent;   ///< client messages sent again to another backend
  std::array<Counter, rate_limit_count> rate_pauses;
  std::array<std::array<Counter, code_class_count>, reason_count> ends;

  [[nodiscard]] Flow& flow(Direction direction) noexcept {
    return flows[static_cast<std::size_t>(direction)];
  }
  /// `code`: what the client was sent or sent, 0 = none.
  void end(Reason reason, std::uint16_t code) noexcept {
    ends[static_cast<std::size_t>(reason)][code_class(code)].add();
  }
};

/// How an accepted connection's handshake ended, once each.
enum class HandshakeResult : std::uint8_t {
  accepted,         ///< 101 sent
  backend_answer,   ///< a non-101 answer of the backend was relayed
  rejected,         ///< 4xx: not a valid handshake
  no_route,         ///< 404
  no_backend,       ///< 503: none eligible, or all refused
  bad_backend,      ///< 502
  backend_timeout,  ///< 504
  client_timeout,   ///< handshake_timeout passed
  client_gone,      ///< closed before the answer
  limit,            ///< 503: the listener's max_sessions or rate, or descriptors
  proxy_header,     ///< closed: no valid PROXY header, or not from a trusted peer
  client_limit,     ///< 429: a limit per client address
  forbidden,        ///< origins, allow or deny: 403, or closed before TLS
  overload,         ///< 503: the upstream's circuit breaker
  unanswered,       ///< closed: over a limit, and so were too many before it to answer each
  unauthorized,     ///< 4xx: no good token, or the forward_auth service says no
  auth_failed,      ///< 503: the forward_auth service does not answer as it should
};
inline constexpr std::size_t handshake_result_count = 17;
[[nodiscard]] std::string_view text(HandshakeResult result) noexcept;

enum class TlsResult : std::uint8_t {
  ok,       ///< established
  failed,   ///< alert, no common version or cipher, no or bad client certificate, not TLS
  timeout,  ///< handshake_timeout passed
  gone,     ///< closed in the middle
  limit,    ///< limits.tls_handshakes were under way for too long
};
inline constexpr std::size_t tls_result_count = 5;
[[nodiscard]] std::string_view text(TlsResult result) noexcept;

/// Writer: one setup thread.
struct alignas(cache_line_bytes) ListenerCells {
  std::array<Counter, handshake_result_count> handshakes;
  std::array<Counter, tls_result_count> tls_handshakes;
  std::array<Counter, refusal_count> refusals;

  void handshake(HandshakeResult result) noexcept { handshakes[static_cast<std::size_t>(result)].add(); }
  void refuse(Refusal refusal) noexcept { refusals[static_cast<std::size_t>(refusal)].add(); }
  void tls_handshake(TlsResult result) noexcept { tls_handshakes[static_cast<std::size_t>(result)].add(); }
};

/// Open sessions of one listener and route on one pump thread, which is the writer.
struct alignas(cache_line_bytes) SessionCells {
  Gauge open;
};

/// Writer: one setup thread.
struct alignas(cache_line_bytes) SetupCells {
  SetupCells() noexcept;
  Histogram handshake_duration;        ///< accept to 101
  Histogram backend_connect_duration;  ///< connect() to connected, TLS included
  Histogram loop_lag;                  ///< how late a due timer or posted task ran
};

/// Writer: one pump thread.
struct alignas(cache_line_bytes) PumpCells {
  PumpCells() noexcept;
  Histogram session_duration;  ///< 101 to end
  Histogram ping_rtt;          ///< proxy ping written to its pong read
  Histogram reroute_duration;  ///< backend lost, or told to go, until the next one is read
  Gauge stranded;              ///< sessions that should leave their backend and have nowhere to go
  Gauge stored_head_bytes;     ///< request heads kept for reroutes
  Gauge held_bytes;            ///< frames kept back, messages kept for a resend, data of held clients
  Counter hold_memory_spent;   ///< times that limits.hold_memory made a session stream or pause instead
  Histogram loop_lag;
};

/// Writer: the control thread.
struct alignas(cache_line_bytes) ControlCells {
  ControlCells() noexcept;
  Histogram probe_duration;
  Histogram reload_duration;  ///< of those that were applied
  Histogram loop_lag;
  Counter reloads_ok;
  Counter reloads_failed;
};

}  // namespace holdfast::metrics
