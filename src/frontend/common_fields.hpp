#pragma once
// The fields of request heads that many clients send alike (a browser sends the same User-Agent, Origin and
// a dozen others for everybody who has that version): kept once for all sessions that need them again.
//
// Thread: its setup thread's. What it gives out may be let go by any thread.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "holdfast/session/continuation.hpp"

namespace holdfast::frontend {

class CommonFields {
 public:
  /// Takes a request stem apart (see ws::build_request_stem): known names whose values are no secret and not
  /// one client's own are shared, the others are kept in their order.
  [[nodiscard]] session::Continuation::Head split(std::string_view stem);

  /// How many different ones are known, those included that nobody needs any more.
  [[nodiscard]] std::size_t size() const noexcept { return known_.size(); }

 private:
  static constexpr std::size_t fewest_to_purge = 64;
  [[nodiscard]] std::shared_ptr<const std::string> one_for_all(std::string fields);
  void purge();

  std::unordered_map<std::size_t, std::weak_ptr<const std::string>> known_;  ///< by hash
  std::size_t purge_at_ = fewest_to_purge;
};

}  // namespace holdfast::frontend
