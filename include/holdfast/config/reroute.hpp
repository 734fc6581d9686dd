#pragma once
// routes[].reroute: what happens to a session when its backend goes (SESSIONS.md). Field names are the JSON
// keys.

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/cause.hpp"

namespace holdfast::config {

enum class HoldUnit : std::uint8_t { frame, message };
enum class Compression : std::uint8_t { pin, strip, pass };
enum class MoveOrder : std::uint8_t { make_first, break_first };

[[nodiscard]] std::string_view to_string(HoldUnit value) noexcept;
[[nodiscard]] std::string_view to_string(Compression value) noexcept;
[[nodiscard]] std::string_view to_string(MoveOrder value) noexcept;

struct Reroute {
  static constexpr std::uint16_t no_code = 1005;  ///< "none" in `close_codes`: a Close without a code
  static constexpr std::size_t most_close_codes = 16;

  std::vector<Occasion> on{Occasion::lost, Occasion::unhealthy, Occasion::draining,
                           Occasion::rebalance};  // empty = Close 1012 when the backend goes
  std::chrono::milliseconds hold{10'000};         // without a backend; 0..10 min; default 10s
  std::uint64_t hold_bytes = 64ULL << 10;         // per purpose and session; 0..64 MiB; default 64KiB
  HoldUnit hold_unit = HoldUnit::frame;           // frame | message; default frame
  std::uint32_t attempts = 5;                     // answers that led to no lasting leg; 1..100; default 5
  std::vector<std::uint16_t> close_codes{1001, 1012, 1013};  // 1000..4999 or "none"; at most 16
  std::uint64_t resend_unanswered = 0;  // {"unanswered": BYTES}: 1..64 MiB; 0 = "incomplete" (default)
  std::uint32_t preamble = 0;           // first client messages sent to each new backend; 0..100; default 0
  std::uint32_t preamble_answers = 0;   // of its answers that are swallowed; 0..100; default 0
  Compression compression = Compression::pin;  // pin | strip | pass; default pin
  MoveOrder move = MoveOrder::make_first;      // make_first | break_first; default make_first
  std::chrono::milliseconds quiet{50};         // before a planned move; 0..5 s; default 50ms
  std::string secret_file;                     // absolute; "" = no signature in Holdfast-Reroute (default)
  std::string secret;  // derived: content of secret_file, white space trimmed; 16 bytes at least

  bool operator==(const Reroute&) const = default;
};

}  // namespace holdfast::config
