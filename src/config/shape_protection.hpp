#pragma once
// The keys of protection.hpp, as parts of a listener, a route and an upstream.

#include "config/visitor.hpp"
#include "holdfast/config/protection.hpp"

namespace holdfast::config {

void shape_protection(Visitor& v, ListenerProtection& l);
void shape_protection(Visitor& v, RouteProtection& r);
void shape_circuit_breaker(Visitor& v, CircuitBreaker& c);

}  // namespace holdfast::config
