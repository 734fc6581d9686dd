#pragma once
// What limits and circuit breakers tell: /status and the samples of /metrics. Control thread.

#include <nlohmann/json.hpp>

#include "holdfast/frontend/serving.hpp"
#include "holdfast/metrics/registry.hpp"

namespace holdfast::server {

[[nodiscard]] nlohmann::json protection_status(const frontend::ListenerEntry& listener);
[[nodiscard]] nlohmann::json protection_status(const frontend::RouteEntry& route);
[[nodiscard]] nlohmann::json circuit_status(upstream::UpstreamState& state);

void sample_protection(const frontend::Serving& serving, metrics::Sample& sample);

}  // namespace holdfast::server
