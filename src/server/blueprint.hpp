#pragma once
// From a Config to what the threads use: TLS contexts, backends, upstreams, routes. Nothing is published
// here, so a blueprint that fails leaves no trace but backends that nobody holds. Control thread only.

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "holdfast/config/config.hpp"
#include "holdfast/config/load.hpp"
#include "holdfast/frontend/serving.hpp"
#include "holdfast/metrics/registry.hpp"
#include "holdfast/upstream/registry.hpp"

namespace holdfast::server {

/// What outlives snapshots: found again by name at each reload.
/// 32 of them, that nobody can guess.
[[nodiscard]] std::string random_bytes();

struct Lasting {
  explicit Lasting(std::size_t worker_count) : workers(worker_count) {}

  [[nodiscard]] session::RouteState& route(const std::string& name, metrics::Registry& registry);
  [[nodiscard]] feed::FeedState& feed(const std::string& name, metrics::Registry& registry);
  [[nodiscard]] frontend::ListenerState& listener(const std::string& name, metrics::Registry& registry);

  std::size_t workers;
  std::mt19937_64 random{
      std::random_device{}()};  // one device: each costs a trap of the CPU in many machines
  net::TicketKeys keys;
  const std::string sticky_key = random_bytes();  ///< of upstreams whose cookies have no secret of their own
  upstream::Registry backends;
  std::map<std::string, std::unique_ptr<session::RouteState>> routes;
  std::map<std::string, std::unique_ptr<frontend::ListenerState>> listeners;
  std::map<std::string, std::unique_ptr<feed::FeedState>> feeds;
};

struct Blueprint {
  std::shared_ptr<const frontend::Serving> serving;  ///< null when there are problems
  std::vector<config::Problem> problems;
};

[[nodiscard]] Blueprint draw_blueprint(const config::Config& config, std::uint64_t generation,
                                       Lasting& lasting, metrics::Registry& registry);

/// Eases in the backends that `before` did not have, in the upstreams that it had.
void begin_slow_starts(const config::Config& before, const frontend::Serving& serving, TimePoint now);

/// What the snapshot sets in objects that live longer: limits of routes, rates of upstreams, weights of
/// backends. After publishing.
void apply_lasting(const config::Config& config, const frontend::Serving& serving);

}  // namespace holdfast::server
