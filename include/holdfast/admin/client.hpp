#pragma once
// The blocking client of `holdfast status|drain|enable|disable` and `check --against`.

#include <chrono>
#include <string>
#include <string_view>

#include "holdfast/base/error.hpp"

namespace holdfast::admin {

struct Response {
  unsigned status = 0;
  std::string body;
};

/// Where and as whom: `url` is "http://HOST:PORT" (a trailing slash is fine) or "unix:PATH"; `token` may be
/// empty.
struct Access {
  std::string url;
  std::string token;
};

inline constexpr std::chrono::seconds client_timeout{10};

/// One request on a connection of its own; `target` starts with '/'. The whole exchange is bounded
/// by client_timeout, the answer by 64 MiB. An HTTP error status is a Response, not an Error.
[[nodiscard]] Result<Response> get(const Access& access, const std::string& target);
[[nodiscard]] Result<Response> post(const Access& access, const std::string& target);

/// For a path segment: everything but unreserved characters becomes %XX.
[[nodiscard]] std::string percent_encode(std::string_view text);

}  // namespace holdfast::admin
