#pragma once
// The admin API without sockets: one request in, one reply out.

#include <cstddef>
#include <optional>
#include <string>

#include "holdfast/admin/control.hpp"
#include "holdfast/config/config.hpp"

namespace holdfast::admin {

struct Request {
  std::string method;
  std::string target;          // as in the request line
  std::string host;            // the Host field; "" = none (HTTP/1.0)
  std::size_t host_count = 0;  // Beast lets several through; that is an attack, not a request
  std::optional<std::string> origin;
  std::optional<std::string> authorization;
};

struct Reply {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::string allow;      // 405: the methods that would do
  std::string challenge;  // 401: WWW-Authenticate
};

/// Checks access, finds the endpoint and calls `control`. Who may do what:
/// - with a token: everything but /healthz and /readyz (and /metrics if metrics_open) needs it;
/// - without one the port is on loopback, where a browser's pages can reach it: so the Host field
///   must not be a foreign name (DNS rebinding), except for the endpoints above;
/// - a POST with an Origin must come from the admin port's own pages (cross-site requests).
[[nodiscard]] Reply handle(const Request& request, const config::Admin& settings, Control& control);

[[nodiscard]] Reply error_reply(unsigned status, const std::string& what);

}  // namespace holdfast::admin
