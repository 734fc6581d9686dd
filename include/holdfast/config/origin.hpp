#pragma once
// Whose pages may open sessions: the entries of routes[].origins, compared with what a browser sends
// (RFC 6454 section 7). Pure values.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::config {

/// One entry: "https://app.example.com", "https://*.example.com:8443", "*.example.com" (http and https),
/// "http://localhost:*" (any port) or "null". "*." stands for exactly one label, as in routes[].host; an
/// absent port is the scheme's; scheme and host are compared without case.
class OriginPattern {
 public:
  /// On failure nothing, and `why` says what is allowed.
  [[nodiscard]] static std::optional<OriginPattern> compile(std::string_view text, std::string& why);

  /// Whether a whole Origin field value is meant. What is no origin (a path, a list, blanks) never is.
  [[nodiscard]] bool matches(std::string_view origin) const noexcept;

 private:
  enum class Port : std::uint8_t { of_scheme, given, any };

  bool null_ = false;
  bool one_label_ = false;  ///< "*." stands before host_
  std::string scheme_;      ///< lower case; empty = http or https
  std::string host_;        ///< lower case
  Port port_kind_ = Port::of_scheme;
  std::uint16_t port_ = 0;
};

}  // namespace holdfast::config
