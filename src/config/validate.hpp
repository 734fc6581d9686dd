#pragma once
// The third phase: what no single key can tell. Names, references, sockets used twice.

#include "config/problems.hpp"
#include "holdfast/config/config.hpp"

namespace holdfast::config {

void validate(const Config& config, Problems& problems);
void validate_auth(const Auth& auth, const std::string& place, Problems& problems);
/// Probes and ejections of one upstream.
void validate_health(const Upstream& upstream, const std::string& place, Problems& problems);
/// Limits of listeners and routes.
void validate_protection(const Config& config, Problems& problems);

/// `upstream` stands at `place`.
void validate_discovery(const Upstream& upstream, const std::string& place, Problems& problems);

}  // namespace holdfast::config
