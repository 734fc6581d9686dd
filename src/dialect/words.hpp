#pragma once
// The words of dialect files, in the order of their enums.

#include <array>
#include <string_view>

#include "holdfast/dialect/act.hpp"

namespace holdfast::dialect {

inline constexpr std::array<std::string_view, fault_count> fault_words{
    "none",      "not_json", "unknown_message",   "bad_value",   "too_many_keys", "bad_key",
    "too_large", "refused",  "too_many_requests", "source_gone", "source_error",  "timed_out"};
// "unknown" stands last: it is no word of a rule.
inline constexpr std::array<std::string_view, 9> client_words{
    "subscribe", "unsubscribe", "list", "request", "publish", "set", "ping", "reject", "unknown"};
inline constexpr std::array<std::string_view, 8> source_words{"data",  "snapshot", "ack",    "response",
                                                              "error", "notice",   "ignore", "unknown"};
inline constexpr std::array<std::string_view, 2> form_words{"whole", "slice"};
inline constexpr std::array<std::string_view, 2> via_words{"local", "upstream"};
inline constexpr std::array<std::string_view, 2> notice_words{"rotate", "close"};
inline constexpr std::array<std::string_view, 3> unknown_words{"drop", "reject", "forward"};
inline constexpr std::array<std::string_view, 4> lag_words{"conflate", "skip_to_snapshot", "drop_oldest",
                                                           "disconnect"};

}  // namespace holdfast::dialect
