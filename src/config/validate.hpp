#pragma once
// The third phase: what no single key can tell. Names, references, sockets used twice.

#include "config/problems.hpp"
#include "holdfast/config/config.hpp"

namespace holdfast::config {

void validate(const Config& config, Problems& problems);

}  // namespace holdfast::config
