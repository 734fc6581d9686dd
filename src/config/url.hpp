#pragma once
// URLs of services that are dialled: scheme://host[:port][/path][?query].

#include <optional>
#include <string>
#include <string_view>

#include "holdfast/config/address.hpp"

namespace holdfast::config {

struct UrlParts {
  bool secure = false;
  Address address;     ///< without sockets where the host is a name; the scheme's port where none is written
  std::string host;    ///< for the Host field, as written
  std::string target;  ///< path and query, "/" at least
};

/// Nothing when the text is no such URL, or has a user name.
[[nodiscard]] std::optional<UrlParts> split_url(std::string_view text, std::string_view plain_scheme,
                                                std::string_view secure_scheme);

}  // namespace holdfast::config
