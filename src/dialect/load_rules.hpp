#pragma once
// The two lists of rules in a dialect file.

#include "config/problems.hpp"
#include "dialect/rules.hpp"

namespace holdfast::dialect {

void load_client_rules(const Tree& list, const std::string& place, config::Problems& problems, Rules& rules);
void load_source_rules(const Tree& list, const std::string& place, config::Problems& problems, Rules& rules);

}  // namespace holdfast::dialect
