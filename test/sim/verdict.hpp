#pragma once
// The first thing that was wrong in a run. Checks are made in places that can't throw (legs, the desk).

#include <string>
#include <utility>

namespace holdfast::sim {

class Verdict {
 public:
  void broken(std::string what) {
    if (what_.empty()) what_ = std::move(what);
  }
  [[nodiscard]] bool is_broken() const noexcept { return !what_.empty(); }
  [[nodiscard]] const std::string& what() const noexcept { return what_; }

 private:
  std::string what_;
};

}  // namespace holdfast::sim
