#pragma once
// The keys of include/holdfast/config/balancing.hpp.

#include "config/visitor.hpp"
#include "holdfast/config/config.hpp"

namespace holdfast::config {

/// Of upstreams[]: policy, hash_balance_factor, sticky, slow_start, queue, zone_min_percent.
void visit_balancing(Visitor& visitor, Upstream& upstream);
/// Of upstreams[].backends[]: backup, zone.
void visit_place(Visitor& visitor, BackendConfig& backend);
/// The top level's zone.
void visit_zone(Visitor& visitor, std::string& zone);

}  // namespace holdfast::config
