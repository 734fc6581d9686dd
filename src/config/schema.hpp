#pragma once
// The visitor that writes the JSON Schema (draft 2020-12) of the configuration.

#include <nlohmann/json.hpp>

namespace holdfast::config {

/// What conf/holdfast.schema.json must be; a test compares.
[[nodiscard]] nlohmann::ordered_json schema();

}  // namespace holdfast::config
