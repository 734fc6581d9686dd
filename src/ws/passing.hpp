// Which fields a proxy passes on (RFC 9110 section 7.6.1), for both directions.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/ws/head.hpp"

namespace holdfast::ws {

[[nodiscard]] bool is_any_of(std::string_view name, std::span<const std::string_view> names) noexcept;

// Without case, and '_' as '-': the two are one to backends that turn fields into environment variables.
[[nodiscard]] bool begins_like(std::string_view name, std::string_view lower_case_prefix) noexcept;

// All names that the head's Connection fields declare hop-by-hop. Views into the head.
[[nodiscard]] std::vector<std::string_view> list_of_connection(const Fields& head);

// True for the fixed hop-by-hop fields and for those in `named`, except the ones that a sender must
// not be able to take away by naming them: Host, Origin, Cookie, Set-Cookie, Authorization,
// Sec-WebSocket-*, and what trusted proxies say in X-Forwarded-* and Forwarded.
[[nodiscard]] bool is_hop_by_hop(std::string_view name, std::span<const std::string_view> named) noexcept;

// "name: value" and CRLF.
void append_field(std::string& out, std::string_view name, std::string_view value);

}  // namespace holdfast::ws
