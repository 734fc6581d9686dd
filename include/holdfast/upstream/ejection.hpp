// What is told of an ejection: for logs, metrics and /status.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "holdfast/base/clock.hpp"

namespace holdfast::upstream {

enum class EjectReason : std::uint8_t {
  consecutive_failures,  // of connect, TLS, time or answer; a crash that took sessions along counts as one
  consecutive_5xx,
  early_deaths,  // in a row
  success_rate,
};
inline constexpr std::size_t eject_reason_count = 4;

[[nodiscard]] constexpr std::string_view text(EjectReason reason) noexcept {
  constexpr std::array<std::string_view, eject_reason_count> words{"consecutive_failures", "consecutive_5xx",
                                                                   "early_deaths", "success_rate"};
  return words[static_cast<std::size_t>(reason)];
}

// The present or, once over, the latest one.
struct Ejection {
  EjectReason reason = EjectReason::consecutive_failures;
  Milliseconds lasts{0};
  TimePoint until{};
};

}  // namespace holdfast::upstream
