#pragma once
// Compiled host and path patterns of routes. Immutable after compiling; any thread may match.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::config {

// "/ws" is exact; "/ws/*" also has any tail, which may be empty or contain slashes ("*" is only
// special as the last character); ":name" stands for one whole segment that is not empty. Case
// matters. An empty pattern matches every path.
class PathPattern {
 public:
  // Nothing if the pattern isn't one; `why` then says what is allowed.
  [[nodiscard]] static std::optional<PathPattern> compile(std::string_view pattern, std::string& why);

  // `path` is the request target without its query, byte for byte. No allocation.
  [[nodiscard]] bool matches(std::string_view path) const noexcept;

 private:
  enum class Tail : std::uint8_t { exact, any };
  struct Part {
    enum class Kind : std::uint8_t { literal, segment };
    Kind kind;
    std::string literal;  // empty for a segment
  };

  std::vector<Part> parts_;
  Tail tail_ = Tail::any;
};

// "example.com", or "*.example.com" for exactly one label in front. Case is ignored. An empty
// pattern matches every host, an absent one too.
class HostPattern {
 public:
  [[nodiscard]] static std::optional<HostPattern> compile(std::string_view pattern, std::string& why);

  // `host` without port and without IPv6 brackets. No allocation.
  [[nodiscard]] bool matches(std::string_view host) const noexcept;

 private:
  enum class Kind : std::uint8_t { any, exact, one_label };

  Kind kind_ = Kind::any;
  std::string name_;  // lower case; for one_label with its leading dot
};

// "Example.com:8443" -> "Example.com", "[::1]:80" -> "::1".
[[nodiscard]] std::string_view host_without_port(std::string_view host) noexcept;

}  // namespace holdfast::config
