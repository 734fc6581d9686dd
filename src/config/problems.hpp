#pragma once
// Collects findings while a configuration is read.

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/config/load.hpp"

namespace holdfast::config {

class Problems {
 public:
  /// The first error at a place wins: later phases would only repeat it in other words.
  void error(const std::string& place, std::string what);
  void warning(const std::string& place, std::string what);

  [[nodiscard]] bool empty() const noexcept { return errors_.empty(); }
  [[nodiscard]] bool has(const std::string& place) const { return places_.contains(place); }

  /// Sorted by place, numbers by value: "backends[2]" comes before "backends[10]".
  [[nodiscard]] std::vector<Problem> take_errors();
  [[nodiscard]] std::vector<Problem> take_warnings();

 private:
  std::vector<Problem> errors_;
  std::vector<Problem> warnings_;
  std::set<std::string> places_;
};

/// Text of unknown origin for a message: quoted, control characters and broken UTF-8 made visible,
/// long ones shortened.
[[nodiscard]] std::string quote(std::string_view text);

/// ", did you mean \"x\"?" for the closest of `words`, or "" if none is close.
[[nodiscard]] std::string did_you_mean(std::string_view word, const std::vector<std::string>& words);

}  // namespace holdfast::config
