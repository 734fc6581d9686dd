#pragma once
// Compiled host and path patterns of routes. Immutable after compiling; any thread may match.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
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

  // What its ":name"s stand for in a path that it matches, in order; views into `path` and this.
  using Capture = std::pair<std::string_view, std::string_view>;
  [[nodiscard]] std::vector<Capture> captures(std::string_view path) const;
  [[nodiscard]] std::vector<std::string> names() const;

 private:
  enum class Tail : std::uint8_t { exact, any };
  struct Part {
    enum class Kind : std::uint8_t { literal, segment };
    Kind kind;
    std::string literal;  // of a segment: its name
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

// The names behind '$' in a template; "$$" stands for '$'.
[[nodiscard]] std::vector<std::string> placeholders(std::string_view text);
// What they stand for in a text that `fill` has made of the template. Each ends at a '/' or with the text.
[[nodiscard]] std::vector<PathPattern::Capture> captures_in(std::string_view pattern, std::string_view text);
// `text` with its placeholders replaced; one that is not among `captures` becomes nothing.
[[nodiscard]] std::string fill(std::string_view text, const std::vector<PathPattern::Capture>& captures);
// The same for a request target: behind its '?' what captures have of '&', '=', '+' and ';' is
// percent-encoded, so that whoever chose them can't add arguments of his own.
[[nodiscard]] std::string fill_target(std::string_view target,
                                      const std::vector<PathPattern::Capture>& captures);
// "." or "..", also percent-encoded: a server may take it for a step in a path.
[[nodiscard]] bool is_dot_segment(std::string_view segment) noexcept;

}  // namespace holdfast::config
