#pragma once
// What the log's lines look like. Pure; the log thread calls it.

#include <string>
#include <string_view>

#include "holdfast/config/config.hpp"
#include "holdfast/session/access.hpp"

namespace holdfast::server {

/// Without the time, which the text pattern puts in front; JSON lines bring it. Bytes that would end a line,
/// move a terminal's cursor or look like another field are written as \xNN in text.
[[nodiscard]] std::string log_line(config::LogFormat format, config::LogLevel level,
                                   const std::string& sentence);
[[nodiscard]] std::string access_line(config::LogFormat format, const session::AccessRecord& record);
[[nodiscard]] std::string reroute_line(config::LogFormat format, const session::RerouteRecord& record);

/// warning when the client lost its session by it, else info.
[[nodiscard]] config::LogLevel level_of(const session::RerouteRecord& record) noexcept;

}  // namespace holdfast::server
