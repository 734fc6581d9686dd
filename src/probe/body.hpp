#pragma once
// As much of an HTTP body as has come. Sans-io. Private to probe.

#include <cstddef>
#include <string>
#include <string_view>

#include "holdfast/ws/head.hpp"

namespace holdfast::probe {

/// What is looked at of a body.
inline constexpr std::size_t most_body_bytes = 64 * 1024;

struct PartOfBody {
  std::string text;    ///< without the chunked coding
  bool whole = false;  ///< nothing more will come, or what has come is not to be understood
};

/// `raw`: the bytes behind the head.
[[nodiscard]] PartOfBody body_of(ws::Body body, std::string_view raw);

}  // namespace holdfast::probe
