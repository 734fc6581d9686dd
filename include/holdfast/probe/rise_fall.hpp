#pragma once
// From single probe outcomes to a verdict: `rise` passes in a row make healthy, `fall` failures in a row
// unhealthy. Until one of both is reached a backend is `unknown`, which counts as usable. Pure.

#include <cstdint>

#include "holdfast/upstream/backend.hpp"

namespace holdfast::probe {

enum class Outcome : std::uint8_t { passed, failed };

class RiseFall {
 public:
  /// The health after one more outcome; `now` is the health before it.
  [[nodiscard]] upstream::Health note(upstream::Health now, Outcome outcome, std::uint32_t rise,
                                      std::uint32_t fall) noexcept {
    if (outcome != latest_) in_a_row_ = 0;
    latest_ = outcome;
    if (in_a_row_ < UINT32_MAX) ++in_a_row_;
    if (outcome == Outcome::passed) return in_a_row_ >= rise ? upstream::Health::healthy : now;
    return in_a_row_ >= fall ? upstream::Health::unhealthy : now;
  }

 private:
  Outcome latest_ = Outcome::passed;
  std::uint32_t in_a_row_ = 0;
};

}  // namespace holdfast::probe
