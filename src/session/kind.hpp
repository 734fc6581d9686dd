#pragma once
// What the sessions of one listener, route and pump thread have in common: one of it for all of them.

#include <string>

#include "holdfast/metrics/cells.hpp"
#include "holdfast/session/route_state.hpp"

namespace holdfast::session {

class Shard;

struct Kind {
  Shard& shard;
  RouteState& route;
  metrics::RouteCells& cells;
  metrics::SessionCells& open_sessions;
  std::string listener;  ///< its name
};

}  // namespace holdfast::session
