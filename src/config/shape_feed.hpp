#pragma once
// Describes feeds[].

#include "config/visitor.hpp"
#include "holdfast/config/config.hpp"

namespace holdfast::config {

void describe_feed(Visitor& v, Feed& feed);

}  // namespace holdfast::config
