#pragma once
// One text for equal JSON values.

#include <string>
#include <string_view>

#include "dialect/walk.hpp"

namespace holdfast::dialect {

/// Appends `value` (a part of the message that `memory` holds, already known to be JSON) without white space,
/// members sorted by name, strings with the least escapes. Numbers stay as they are written: 1 and 1.0 are
/// two texts, but none loses digits. False: a name is given twice.
[[nodiscard]] bool append_canonical(Span value, ScratchMemory& memory, std::string& out);

}  // namespace holdfast::dialect
