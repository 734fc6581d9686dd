#pragma once
// What a route asks of its clients, made ready by the control thread: keys parsed, the service's address and
// TLS. Immutable, shared by all setup threads.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/auth/key_set.hpp"
#include "holdfast/config/load.hpp"
#include "holdfast/dial/dial.hpp"
#include "holdfast/metrics/auth_cells.hpp"

namespace holdfast::frontend {

struct RouteAuth {
  config::Auth settings;
  auth::KeySet keys;                                 ///< of settings.jwt
  std::shared_ptr<const dial::Destination> service;  ///< of settings.forward_auth: address and TLS only
  std::string service_key;                           ///< tells it apart in caches
  std::vector<metrics::AuthCells*> cells;            ///< one per setup thread

  /// Null, with `problems` at "PLACE.jwt.keys_file" and the like, where something is wrong with it. Cells are
  /// the caller's to fill in.
  [[nodiscard]] static std::shared_ptr<RouteAuth> create(const config::Auth& settings,
                                                         const std::string& place,
                                                         std::vector<config::Problem>& problems);
};

}  // namespace holdfast::frontend
