#pragma once
// What feeds[] and the routes to them can't be.

#include "config/problems.hpp"
#include "holdfast/config/config.hpp"

namespace holdfast::config {

void validate_feeds(const Config& config, Problems& problems);

}  // namespace holdfast::config
