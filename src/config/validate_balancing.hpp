#pragma once
// Combinations of balancing keys that do less than they seem to: warnings.

#include "config/problems.hpp"

namespace holdfast::config {

void check_balancing(const Config& config, Problems& problems);

}  // namespace holdfast::config
