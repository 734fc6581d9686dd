#pragma once
// What a backend's probes need, worked out once per snapshot: where to, what to say, what to expect. Private
// to probe. Immutable; held by the probes under way.

#include <memory>
#include <string>
#include <vector>

#include "holdfast/config/expectation.hpp"
#include "holdfast/dial/dial.hpp"

namespace holdfast::probe {

struct Target {
  /// `index`: of the backend among the destination's.
  Target(std::shared_ptr<const dial::Destination> destination, std::size_t index);

  std::shared_ptr<const dial::Destination> destination;
  config::Probe settings;
  config::Address address;  ///< with the probe's port
  /// http and websocket: the request up to its last fields.
  std::string request;
  std::vector<config::StatusRange> statuses;  ///< http
  config::Expectation expected;               ///< of the body or of a message
};

}  // namespace holdfast::probe
