#pragma once
// What `holdfast status` prints. Private to server.

#include <nlohmann/json.hpp>
#include <string>

namespace holdfast::server {

/// Of GET /status: listeners, upstreams and backends, and behind each what is wrong with it, where something
/// is. Throws nlohmann::json::exception if `status` is something else.
[[nodiscard]] std::string status_text(const nlohmann::json& status);

}  // namespace holdfast::server
