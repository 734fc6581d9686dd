#pragma once
// The description of every key: name, type, default (the struct's), range.

#include "config/visitor.hpp"
#include "holdfast/config/config.hpp"

namespace holdfast::config {

/// Where reading begins: the structs' defaults and those that need code (the admin address).
[[nodiscard]] Config default_config();

/// Visits the whole document. Fills what stands in the file and no more: names that are derived,
/// files and addresses of names are settle.cpp's.
void visit(Visitor& visitor, Config& config);

/// An upstream's list of backends; its probe is known already.
void visit_backends(Visitor& visitor, Upstream& upstream);

}  // namespace holdfast::config
