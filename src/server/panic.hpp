#pragma once
// Says when an upstream begins and ends to panic. Control thread.

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "holdfast/dial/dial.hpp"

namespace holdfast::server {

/// "upstream main panics: 0 of 2 active backends are eligible, …"
[[nodiscard]] std::string panic_sentence(const upstream::Upstream& upstream);

class PanicWatch {
 public:
  using Destinations = std::vector<std::shared_ptr<const dial::Destination>>;
  struct News {
    std::vector<std::string> begun;  ///< sentences
    std::vector<std::string> over;
  };
  [[nodiscard]] News look(const Destinations& destinations);

 private:
  std::set<std::string> panicking_;
};

}  // namespace holdfast::server
