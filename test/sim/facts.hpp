#pragma once
// What was seen in a run besides the two ends' own memory: what the script did, and what the session said.

#include <cstdint>

#include "holdfast/base/reason.hpp"

namespace holdfast::sim {

struct Facts {
  // The script.
  bool drained = false;
  bool gone = false;  ///< its upstream
  bool told_to_close = false;
  bool cut = false;
  bool continuable = true;  ///< it had a Continuation
  // The desk.
  std::uint32_t asked = 0;
  std::uint32_t ready = 0;
  std::uint32_t misfits = 0;
  bool refused = false;
  bool upstream_gone = false;  ///< answered `gone`
  // The session.
  std::uint32_t records = 0;
  std::uint32_t attached = 0;  ///< reroutes and moves that came to a new leg
  std::uint32_t causes_lost = 0;
  std::uint32_t longest_failed_hold_ms = 0;
  bool planned_only = true;  ///< no reroute but moves
  Reason reason = Reason::none;
  unsigned code = 0;
};

}  // namespace holdfast::sim
