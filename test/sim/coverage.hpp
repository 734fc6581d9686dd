#pragma once
// How many runs met what: a simulator that never comes to a place proves nothing about it.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "holdfast/base/cause.hpp"
#include "holdfast/base/reason.hpp"

namespace holdfast::sim {

enum class Kind : std::uint8_t {
  killed_by_fin,
  killed_by_reset,
  hung,
  host_gone,
  said_it_goes,
  broke_the_rules,
  moved_make_first,
  moved_break_first,
  move_stayed,
  held_long,
  attached_at_once,
  closed_while_held,
  several_reroutes,
  resent,
  undelivered,
  unconfirmed,
  doubled,
  preamble_again,
  stale_reply,
  withdrawn,
  early_bytes,
  clean_end,
  exactly_once,
  cut_by_offset,
  paused,
};
inline constexpr std::size_t kind_count = 25;
[[nodiscard]] const char* text(Kind kind) noexcept;

/// Of one run, then of all.
class Coverage {
 public:
  void met(Kind kind) noexcept { kinds_[static_cast<std::size_t>(kind)] = 1; }
  void ended(Reason reason) noexcept { reasons_[static_cast<std::size_t>(reason)] = 1; }
  void rerouted(Cause cause, RerouteResult result) noexcept {
    reroutes_[static_cast<std::size_t>(cause)][static_cast<std::size_t>(result)] = 1;
  }
  void add(const Coverage& run) noexcept;

  struct Line {
    std::string name;
    std::uint64_t runs;
    bool expected;  ///< never = a hole
  };
  [[nodiscard]] std::vector<Line> lines() const;

 private:
  std::array<std::uint64_t, kind_count> kinds_{};
  std::array<std::uint64_t, reason_count> reasons_{};
  std::array<std::array<std::uint64_t, reroute_result_count>, cause_count> reroutes_{};
};

}  // namespace holdfast::sim
