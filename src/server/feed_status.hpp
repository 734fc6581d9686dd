#pragma once
// What /status tells of feeds.

#include <nlohmann/json.hpp>

#include "holdfast/config/config.hpp"
#include "holdfast/feed/source_thread.hpp"
#include "server/blueprint.hpp"

namespace holdfast::server {

[[nodiscard]] nlohmann::json feeds_status(const config::Config& config, Lasting& lasting,
                                          feed::SourceThread& sources);

}  // namespace holdfast::server
