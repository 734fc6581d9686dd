#pragma once
// upstreams[].outlier: takes out backends that fail real sessions, whatever their probes say. Field names are
// the JSON keys.

#include <chrono>
#include <cstdint>

namespace holdfast::config {

// Share of tries that came to something, over a window.
struct SuccessRate {
  std::uint32_t threshold = 50;              // percent; below it the backend is ejected; 0 = off; default 50
  std::chrono::milliseconds window{30'000};  // 1 s..1 h; default 30s
  std::uint32_t minimum = 100;  // outcomes in the window before it is judged; 1..1000000; default 100

  bool operator==(const SuccessRate&) const = default;
};

struct Outlier {
  // Whether a session that is lost without a Close counts as a failure. In the file: true | false.
  enum class LostSessions : std::uint8_t { ignored, count };

  std::uint32_t consecutive_failures =
      5;  // of connect, TLS, time, answer; early deaths; 0 = off, ..1000; default 5
  std::uint32_t consecutive_5xx = 5;                 // 0 = off, ..1000; default: as consecutive_failures
  LostSessions lost_sessions = LostSessions::count;  // default true
  std::chrono::milliseconds early_death{5'000};      // lost younger than this; 0 = off (default 5s), ..1 h
  SuccessRate success_rate;
  std::chrono::milliseconds eject_for{30'000};   // the first time; 100 ms..24 h; default 30s
  std::chrono::milliseconds eject_max{300'000};  // doubled up to this; 100 ms..24 h; default 5m
  std::uint32_t max_ejected_percent = 50;        // of an upstream's backends; 0..100; default 50
  std::uint32_t panic_percent = 10;              // fewer eligible: all are used; 0 = off, ..100; default 10

  bool operator==(const Outlier&) const = default;
};

}  // namespace holdfast::config
