#pragma once
// `check --against`: what a reload would do to a running instance, told from its /status.

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "holdfast/config/config.hpp"

namespace holdfast::server {

/// "3 backends added, 1 removed: 1,204 sessions would move", then a line for each backend.
[[nodiscard]] std::string preview_reload(const config::Config& next, const nlohmann::json& status);

}  // namespace holdfast::server
