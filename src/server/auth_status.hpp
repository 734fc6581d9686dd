#pragma once
// What /status tells of a route's auth. Control thread only.

#include <nlohmann/json.hpp>

#include "holdfast/frontend/serving.hpp"

namespace holdfast::server {

/// Null for a route that lets anybody in.
[[nodiscard]] nlohmann::json auth_status(const frontend::RouteEntry& route);

}  // namespace holdfast::server
