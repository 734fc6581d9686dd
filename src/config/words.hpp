#pragma once
// The words of each enum in the file, in the order of its values.

#include <array>
#include <span>
#include <string_view>

#include "holdfast/config/config.hpp"

namespace holdfast::config {

inline constexpr std::array<std::string_view, 2> tls_version_words{"1.2", "1.3"};
inline constexpr std::array<std::string_view, 5> policy_words{"least_connections", "round_robin",
                                                              "two_choices", "random", "hash"};
inline constexpr std::array<std::string_view, 3> same_site_words{"strict", "lax", "none"};
inline constexpr std::array<std::string_view, 3> proxy_version_words{"off", "v1", "v2"};
inline constexpr std::array<std::string_view, 3> dns_record_words{"A", "AAAA", "SRV"};
inline constexpr std::array<std::string_view, 6> probe_type_words{"auto", "tcp",       "tls",
                                                                  "http", "websocket", "none"};
inline constexpr std::array<std::string_view, 4> log_level_words{"debug", "info", "warning", "error"};
inline constexpr std::array<std::string_view, 2> log_format_words{"text", "json"};
inline constexpr std::array<std::string_view, occasion_count> occasion_words{"lost", "unhealthy", "draining",
                                                                             "rebalance"};
inline constexpr std::array<std::string_view, 2> hold_unit_words{"frame", "message"};
inline constexpr std::array<std::string_view, 3> compression_words{"pin", "strip", "pass"};
inline constexpr std::array<std::string_view, 3> jwt_algorithm_words{"HS256", "RS256", "ES256"};
inline constexpr std::array<std::string_view, 2> move_order_words{"make_first", "break_first"};
inline constexpr std::array<std::string_view, 2> rate_mode_words{"pause", "close"};
inline constexpr std::array<std::string_view, 4> on_lag_words{"conflate", "skip_to_snapshot", "drop_oldest",
                                                              "disconnect"};
inline constexpr std::array<std::string_view, 2> source_mode_words{"standby", "redundant"};
inline constexpr std::array<std::string_view, 2> client_messages_words{"drop", "forward"};
inline constexpr std::array<std::string_view, 2> feed_compression_words{"off", "deflate"};

template <class Enum>
std::span<const std::string_view> words();
template <>
inline std::span<const std::string_view> words<TlsVersion>() {
  return tls_version_words;
}
template <>
inline std::span<const std::string_view> words<SameSite>() {
  return same_site_words;
}
template <>
inline std::span<const std::string_view> words<ProbeType>() {
  return probe_type_words;
}
template <>
inline std::span<const std::string_view> words<DnsRecord>() {
  return dns_record_words;
}
template <>
inline std::span<const std::string_view> words<ProxyVersion>() {
  return proxy_version_words;
}
template <>
inline std::span<const std::string_view> words<LogLevel>() {
  return log_level_words;
}
template <>
inline std::span<const std::string_view> words<LogFormat>() {
  return log_format_words;
}
template <>
inline std::span<const std::string_view> words<Occasion>() {
  return occasion_words;
}
template <>
inline std::span<const std::string_view> words<HoldUnit>() {
  return hold_unit_words;
}
template <>
inline std::span<const std::string_view> words<Compression>() {
  return compression_words;
}
template <>
inline std::span<const std::string_view> words<JwtAlgorithm>() {
  return jwt_algorithm_words;
}
template <>
inline std::span<const std::string_view> words<MoveOrder>() {
  return move_order_words;
}
template <>
inline std::span<const std::string_view> words<RateMode>() {
  return rate_mode_words;
}
template <>
inline std::span<const std::string_view> words<OnLag>() {
  return on_lag_words;
}
template <>
inline std::span<const std::string_view> words<SourceMode>() {
  return source_mode_words;
}
template <>
inline std::span<const std::string_view> words<ClientMessages>() {
  return client_messages_words;
}
template <>
inline std::span<const std::string_view> words<FeedCompression>() {
  return feed_compression_words;
}

}  // namespace holdfast::config
