// What one session of the reroute bench remembers, and what all of them add up to.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <span>
#include <vector>

namespace holdfast::bench {

// The beginning of each payload. An echo backend writes its signature over the first byte.
struct Stamp {
  std::uint8_t backend = 0;
  std::uint8_t unused[7] = {};
  std::uint64_t number = 0;  // 1, 2, 3 … within its session
  std::int64_t sent_ns = 0;
};

// Times are nanoseconds of the steady clock; 0 = never.
class Tally {
 public:
  [[nodiscard]] std::uint8_t backend() const { return backend_; }
  [[nodiscard]] bool affected() const { return affected_; }
  [[nodiscard]] bool answered_since_mark() const { return answered_; }
  [[nodiscard]] std::int64_t sent_at() const { return sent_at_; }
  [[nodiscard]] std::int64_t pause() const { return pause_; }
  [[nodiscard]] std::uint64_t sent() const { return sent_; }
  [[nodiscard]] std::uint64_t lost() const { return sent_ - received_; }
  [[nodiscard]] std::uint64_t doubled() const { return doubled_; }

  // The first message is due one period after this.
  void begin_at(std::int64_t when) { sent_at_ = when; }

  Stamp next(std::int64_t now) {
    sent_at_ = now;
    if (waits_since_ == 0) waits_since_ = now;
    return {0, {}, ++sent_, now};
  }

  // The time from its sending, for the caller's statistics.
  std::int64_t take(const Stamp& answer, std::int64_t now) {
    backend_ = answer.backend;
    if (waits_since_ != 0 && marked_) pause_ = std::max(pause_, now - waits_since_);
    if (answer.number > last_) {
      ++received_;
      last_ = answer.number;
    } else {
      ++doubled_;
    }
    if (marked_ && answer.sent_ns >= marked_) answered_ = true;
    // Whatever was sent before this one and has not come by now won't come: order is kept.
    waits_since_ = last_ == sent_ ? 0 : now;
    return now - answer.sent_ns;
  }

  // From now on pauses count. `victim`: who is about to lose its sessions.
  void mark(std::uint8_t victim, std::int64_t now) {
    marked_ = now;
    affected_ = backend_ == victim;
    answered_ = false;
    pause_ = 0;
  }

 private:
  bool affected_ = false;
  bool answered_ = false;  // a message that was sent after the mark
  std::uint8_t backend_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t last_ = 0;
  std::uint64_t doubled_ = 0;
  std::int64_t marked_ = 0;
  std::int64_t sent_at_ = 0;
  std::int64_t waits_since_ = 0;  // when the oldest message that is still unanswered was sent, or later
  std::int64_t pause_ = 0;
};

// Appends `"NAME": {count, p50, p99, p999, max}` in milliseconds to a JSON object on stdout.
inline void print_quantiles(const char* name, std::vector<std::int64_t>& values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    if (values.empty()) return 0.0;
    const auto index = static_cast<std::size_t>(static_cast<double>(values.size() - 1) * share);
    return static_cast<double>(values[index]) / 1e6;
  };
  std::printf(R"(, "%s": {"count": %zu, "p50": %.3f, "p99": %.3f, "p999": %.3f, "max": %.3f})", name,
              values.size(), at(0.5), at(0.99), at(0.999), at(1));
}

}  // namespace holdfast::bench
