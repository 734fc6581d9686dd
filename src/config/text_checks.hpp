#pragma once
// What texts in the file may look like. Each returns "" or what is allowed, beginning with "must".

#include <string>

namespace holdfast::config {

/// They become metric labels and parts of admin URLs ("UPSTREAM/BACKEND"), hence the narrow set.
[[nodiscard]] std::string check_upstream_name(const std::string& text);
[[nodiscard]] std::string check_feed_name(const std::string& text);
/// Of captures such as "$name" and plain characters between them.
[[nodiscard]] std::string check_channel_template(const std::string& text);
[[nodiscard]] std::string check_zone_name(const std::string& text);
[[nodiscard]] std::string check_listener_name(const std::string& text);
[[nodiscard]] std::string check_route_name(const std::string& text);

[[nodiscard]] std::string check_host_pattern(const std::string& text);
[[nodiscard]] std::string check_path_pattern(const std::string& text);
[[nodiscard]] std::string check_server_name(const std::string& text);

/// Stricter than RFC 6265 section 4.1.1: what every library takes.
[[nodiscard]] std::string check_cookie_name(const std::string& text);

/// A name to ask a name server for.
[[nodiscard]] std::string check_dns_name(const std::string& text);

/// A request target: goes into a request line as it is.
[[nodiscard]] std::string check_request_path(const std::string& text);

/// Goes into a request head as it is: no control characters but the tab.
[[nodiscard]] std::string check_field_value(const std::string& text);
/// A field that a probe may set: a token, and none that the probe itself writes.
[[nodiscard]] std::string check_probe_field(const std::string& text);
[[nodiscard]] std::string check_method(const std::string& text);
/// Empty = none.
[[nodiscard]] std::string check_subprotocol(const std::string& text);
[[nodiscard]] std::string check_status_ranges(const std::string& text);
/// expectation.hpp
[[nodiscard]] std::string check_expectation(const std::string& text);
/// What a probe sends as a text message.
[[nodiscard]] std::string check_probe_text(const std::string& text);

/// What a token must claim: its issuer, its audience.
[[nodiscard]] std::string check_claim_value(const std::string& text);
/// A claim, or behind a "/" the way to one (a JSON pointer).
[[nodiscard]] std::string check_claim_name(const std::string& text);
/// A field that auth may set in requests to backends: none that the handshake itself or the proxy writes.
[[nodiscard]] std::string check_granted_field(const std::string& text);
/// A field's name as backends see it that make variables of fields: lower case, '_' for '-'.
[[nodiscard]] std::string as_variable(const std::string& field);

/// A file name that may not be left out.
[[nodiscard]] std::string check_file(const std::string& text);

}  // namespace holdfast::config
