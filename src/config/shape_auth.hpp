#pragma once
// The description of routes[].auth.

#include "config/visitor.hpp"
#include "holdfast/config/auth.hpp"

namespace holdfast::config {

void describe_auth(Visitor& visitor, Auth& auth);

}  // namespace holdfast::config
