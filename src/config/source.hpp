#pragma once
// `upstreams[].source`: its shape, and what can't be true of it together with the rest. Private to config.

#include <vector>

#include "config/problems.hpp"
#include "config/visitor.hpp"
#include "holdfast/config/config.hpp"

namespace holdfast::config {

void describe_source(Visitor& v, std::vector<SocketAddress>& source);

/// Every upstream's.
void check_sources(const Config& config, Problems& problems);

}  // namespace holdfast::config
