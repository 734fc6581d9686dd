#include "holdfast/metrics/cells.hpp"

#include <cassert>

#include "holdfast/metrics/feed_cells.hpp"

namespace holdfast::metrics {
namespace {

constexpr std::size_t exact_codes = 16;  // 1000–1015
constexpr std::array<std::string_view, code_class_count> code_labels{
    "1000", "1001", "1002", "1003", "1004", "1005", "1006", "1007", "1008", "1009",
    "1010", "1011", "1012", "1013", "1014", "1015", "3xxx", "4xxx", "none", "other"};
constexpr std::size_t class_3xxx = 16;
constexpr std::size_t class_4xxx = 17;
constexpr std::size_t class_none = 18;
constexpr std::size_t class_other = 19;

constexpr std::array<std::string_view, handshake_result_count> handshake_texts{
    "accepted",        "backend_answer", "rejected",    "no_route",     "no_backend",   "bad_backend",
    "backend_timeout", "client_timeout", "client_gone", "limit",        "proxy_header", "client_limit",
    "forbidden",       "overload",       "unanswered",  "unauthorized", "auth_failed"};
constexpr std::array<std::string_view, tls_result_count> tls_texts{"ok", "failed", "timeout", "gone",
                                                                   "limit"};

// Upper bounds in seconds. Handshakes and connects: 1 ms on a local network to the longest deadline.
constexpr std::array<double, 13> setup_bounds{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                              0.25,  0.5,    1,     2.5,  5,     10};
// A reroute takes a round trip or the whole `hold`; below 2 s is what we promise for the worst of a storm.
constexpr std::array<double, 13> reroute_bounds{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                                0.25,  0.5,    1,     2,    5,     10};
// Sessions live from moments to days.
constexpr std::array<double, 11> session_bounds{0.1, 1, 5, 15, 60, 300, 900, 3600, 14400, 43200, 86400};
// Loop lag and round trips: the interesting part begins far below a millisecond.
constexpr std::array<double, 13> lag_bounds{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
                                            0.025,  0.05,    0.1,    0.25,  0.5,    1};

// From a source's message to its subscribers: microseconds when all keep up, seconds for those that don't.
constexpr std::array<double, 14> delivery_bounds{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
                                                 0.025,  0.05,    0.1,    0.25,  0.5,    1,     5};

}  // namespace

Histogram::Histogram(std::span<const double> bounds) noexcept : bounds_(bounds) {
  assert(bounds.size() <= max_bounds);
}

void Histogram::observe(std::chrono::nanoseconds duration, std::uint64_t times) noexcept {
  const std::int64_t count = duration.count();
  const std::uint64_t nanoseconds = count < 0 ? 0 : static_cast<std::uint64_t>(count);
  const double seconds = static_cast<double>(nanoseconds) * 1e-9;
  std::size_t index = 0;
  while (index < bounds_.size() && seconds > bounds_[index]) ++index;
  counts_[index].add(times);
  sum_ns_.add(nanoseconds * times);
}

double Histogram::sum_seconds() const noexcept {
  return static_cast<double>(sum_ns_.value()) * 1e-9;
}

std::size_t code_class(std::uint16_t code) noexcept {
  constexpr std::uint16_t no_status_received = 1005;  // RFC 6455 section 7.4.1: never on the wire
  if (code == 0 || code == no_status_received) return class_none;
  if (code >= 1000 && code < 1000 + exact_codes) return code - 1000U;
  if (code >= 3000 && code < 4000) return class_3xxx;
  if (code >= 4000 && code < 5000) return class_4xxx;
  return class_other;
}

std::string_view code_label(std::size_t code_class_index) noexcept {
  return code_labels[code_class_index];
}

std::string_view text(HandshakeResult result) noexcept {
  return handshake_texts[static_cast<std::size_t>(result)];
}

std::string_view text(TlsResult result) noexcept {
  return tls_texts[static_cast<std::size_t>(result)];
}

SetupCells::SetupCells() noexcept
    : handshake_duration(setup_bounds), backend_connect_duration(setup_bounds), loop_lag(lag_bounds) {}

PumpCells::PumpCells() noexcept
    : session_duration(session_bounds),
      ping_rtt(lag_bounds),
      reroute_duration(reroute_bounds),
      loop_lag(lag_bounds) {}

FeedCells::FeedCells() noexcept : delivery(delivery_bounds), spread(delivery_bounds) {}

ControlCells::ControlCells() noexcept
    : probe_duration(setup_bounds), reload_duration(setup_bounds), loop_lag(lag_bounds) {}

}  // namespace holdfast::metrics
