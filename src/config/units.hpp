#pragma once
// Durations and sizes as they are written in the file.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::config {

/// "250ms", "10s", "5m", "1h"; nothing for anything else or what does not fit in 64 bits.
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

/// "64KiB", "1MiB", "2GiB", "1TiB", "100B"; a bare number is an integer in JSON, not a string.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text);

/// In the largest unit that divides the value: "90s", "1h", "0" for zero.
[[nodiscard]] std::string print_duration(std::chrono::milliseconds value);
[[nodiscard]] std::string print_size(std::uint64_t bytes);

}  // namespace holdfast::config
