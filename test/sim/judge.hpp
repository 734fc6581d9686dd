#pragma once
// SESSIONS.md as checks over what both ends of a run remember.

#include "holdfast/metrics/cells.hpp"
#include "sim/client.hpp"
#include "sim/coverage.hpp"
#include "sim/facts.hpp"

namespace holdfast::sim {

/// Promise 9, after each step of a running session: a leg that works has had no Close of the proxy's as long
/// as there is no other one.
void judge_giving_up(const Plan& plan, const Legs& legs, Verdict& verdict);

/// When everything is over.
void judge_end(const Plan& plan, const Client& client, const Legs& legs, const Facts& facts,
               const metrics::RouteCells& cells, Verdict& verdict, Coverage& coverage);

}  // namespace holdfast::sim
