#pragma once
// What an answer must contain: a text, or between slashes ("/^ok [0-9]+/") a regular expression in RE2's
// syntax. RE2 needs time linear in the answer and a bounded stack whatever a backend sends: std::regex and
// other backtracking matchers don't. Safe in every thread.

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace re2 {
class RE2;
}

namespace holdfast::config {

class Expectation {
 public:
  /// Nothing when the expression is none; then `why` says so. The empty text is found everywhere.
  [[nodiscard]] static std::optional<Expectation> compile(const std::string& written, std::string& why);

  [[nodiscard]] bool found_in(std::string_view answer) const;

 private:
  std::string text_;
  std::shared_ptr<const re2::RE2> regex_;  ///< null = the text itself
};

}  // namespace holdfast::config
