#include "server/blueprint.hpp"

#include <algorithm>
#include <set>
#include <string_view>
#include <unordered_map>

#include "holdfast/config/diff.hpp"
#include "holdfast/feed/source_thread.hpp"
#include "holdfast/server/server.hpp"

namespace holdfast::server {

namespace {

upstream::OutlierRules outlier_rules(const config::Upstream& settings) {
  const config::Outlier& outlier = settings.outlier;
  upstream::OutlierRules rules;
  rules.consecutive_failures = outlier.consecutive_failures;
  rules.eject_for = outlier.eject_for;
  rules.max_ejected_percent = outlier.max_ejected_percent;
  rules.rise = settings.probe.rise;
  rules.eject_max = outlier.eject_max;
  rules.consecutive_5xx = outlier.consecutive_5xx;
  rules.lost_sessions = outlier.lost_sessions == config::Outlier::LostSessions::count
                            ? upstream::LostSessions::count
                            : upstream::LostSessions::ignored;
  rules.success_percent = outlier.success_rate.threshold;
  rules.success_minimum = outlier.success_rate.minimum;
  rules.success_window = outlier.success_rate.window;
  rules.panic_percent = outlier.panic_percent;
  return rules;
}

balance::Policy policy_of(const config::Upstream& settings) {
  switch (settings.policy.kind) {
    case config::PolicyKind::least_connections:
      return balance::Policy::least_connections;
    case config::PolicyKind::round_robin:
      return balance::Policy::round_robin;
    case config::PolicyKind::two_choices:
      return balance::Policy::two_choices;
    case config::PolicyKind::random:
      return balance::Policy::random;
    case config::PolicyKind::hash:
      return balance::Policy::hash;
  }
  return balance::Policy::least_connections;
}

// `zone`: this proxy's; without one all backends are as near as the others.
upstream::Balancing balancing_of(const config::Upstream& settings, const std::string& zone) {
  upstream::Balancing balancing(policy_of(settings));
  balancing.rules.hash_balance_factor = settings.hash_balance_factor;
  balancing.rules.zone_min_percent = settings.zone_min_percent;
  balancing.slow_start = settings.slow_start;
  for (const config::BackendConfig& backend : settings.backends) {
    const bool is_backup = backend.rank == config::BackendConfig::Rank::backup;
    const bool is_near = zone.empty() || backend.zone == zone;
    balancing.traits.push_back({backend.weight, is_backup ? balance::Rank::backup : balance::Rank::primary,
                                is_near ? balance::Zone::own : balance::Zone::other});
  }
  return balancing;
}

std::shared_ptr<const dial::Destination> draw_destination(const config::Upstream& settings,
                                                          const std::string& zone, Lasting& lasting,
                                                          const std::string& place,
                                                          std::vector<config::Problem>& problems) {
  auto destination = std::make_shared<dial::Destination>();
  destination->settings = settings;
  if (!settings.source.empty()) destination->sources = std::make_shared<const net::Sources>(settings.source);
  if (settings.tls) {
    auto tls = net::TlsClient::create(*settings.tls);
    if (tls) {
      destination->tls = std::move(tls.value());
    } else {
      problems.push_back({place + ".tls", tls.error().what});
    }
  }
  std::vector<std::shared_ptr<upstream::Backend>> members;
  for (const config::BackendConfig& backend : settings.backends) {
    members.push_back(lasting.backends.find_or_create(settings.name, backend.address.text));
  }
  destination->upstream = std::make_shared<const upstream::Upstream>(
      settings.name, balancing_of(settings, zone), outlier_rules(settings), std::move(members),
      lasting.random(), lasting.backends.state(settings.name));
  if (settings.sticky) {
    const bool has_secret = !settings.sticky->secret.empty();
    destination->sticky =
        std::make_shared<const upstream::Sticky>(has_secret ? settings.sticky->secret : lasting.sticky_key,
                                                 settings.name, destination->upstream->backends());
  }
  return destination;
}

using ByName = std::unordered_map<std::string, std::shared_ptr<const dial::Destination>>;

std::shared_ptr<const frontend::RouteAuth> draw_auth(const config::Route& route, const Lasting& lasting,
                                                     metrics::Registry& registry, const std::string& place,
                                                     std::vector<config::Problem>& problems) {
  if (!route.auth) return nullptr;
  auto made = frontend::RouteAuth::create(*route.auth, place + ".auth", problems);
  if (made == nullptr) return nullptr;
  for (std::size_t n = 0; n < lasting.workers; ++n) made->cells.push_back(&registry.auth(n, route.name));
  return made;
}

frontend::RouteEntry draw_route(const config::Config& config, const config::Route& settings, Lasting& lasting,
                                metrics::Registry& registry, const frontend::Serving& serving,
                                const ByName& destinations, const std::string& place,
                                std::vector<config::Problem>& problems) {
  frontend::RouteEntry entry;
  std::string why;  // the loader has compiled both before
  entry.host = config::HostPattern::compile(settings.host, why).value();
  entry.path = config::PathPattern::compile(settings.path, why).value();
  entry.listeners = settings.listeners;
  for (const std::string& each : settings.protection.origins)
    entry.origins.push_back(config::OriginPattern::compile(each, why).value());
  entry.require_origin = settings.protection.require_origin;
  entry.access = settings.protection.access;
  entry.state = &lasting.route(settings.name, registry);
  entry.reroute = std::make_shared<const config::Reroute>(settings.reroute);
  entry.auth = draw_auth(settings, lasting, registry, place, problems);
  if (!settings.feed.empty()) {
    const auto feed = std::ranges::find(config.feeds, settings.feed, &config::Feed::name);
    entry.feed = &lasting.feed(settings.feed, registry);
    entry.feed_settings = std::make_shared<const config::Feed>(*feed);
    entry.dialect = serving.dialects.at(settings.feed);
  } else {
    entry.destination = destinations.at(settings.upstream);  // the loader has checked both
  }
  for (const frontend::ListenerEntry& listener : serving.listeners) {
    std::vector<metrics::SessionCells*> cells;
    for (std::size_t n = 0; n < lasting.workers; ++n) {
      cells.push_back(&registry.sessions(n, listener.settings.name, settings.name));
    }
    entry.open_sessions.push_back(std::move(cells));
  }
  return entry;
}

frontend::Dialects read_dialects(const config::Config& config, std::vector<config::Problem>& problems) {
  frontend::Dialects dialects;
  for (std::size_t n = 0; n < config.feeds.size(); ++n) {
    const config::Feed& feed = config.feeds[n];
    const std::string place = "feeds[" + std::to_string(n) + "]";
    dialect::LoadedDialect loaded = dialect::Dialect::of(feed);
    for (const config::Problem& each : loaded.problems) {
      const std::string where = each.place.empty() ? "" : each.place + ": ";
      problems.push_back({place + ".dialect", where + each.what});
    }
    const bool has_source = !feed.source.urls.empty() || !feed.source.upstream.empty();
    if (!has_source && loaded.dialect != nullptr && loaded.dialect->needs_source())
      problems.push_back(
          {place + ".source", "must have either urls or upstream: the dialect asks it for something"});
    // Somebody who waits for a snapshot would wait for ever.
    const bool waits = feed.join.kind == config::JoinKind::snapshot && loaded.dialect != nullptr &&
                       !loaded.dialect->is_opaque() && !loaded.dialect->has_snapshots();
    if (waits)
      problems.push_back({place + ".join", "is \"snapshot\", but the dialect has no rule that tells one"});
    dialects[feed.name] = std::move(loaded.dialect);
  }
  return dialects;
}

// Each channel makes its own later, and can only say that it can't.
void check_sources(const config::Config& config, std::vector<config::Problem>& problems) {
  for (std::size_t n = 0; n < config.feeds.size(); ++n) {
    const config::Source& source = config.feeds[n].source;
    const bool has_tls = std::ranges::any_of(source.urls, [](const config::SourceUrl& each) {
      return each.scheme == config::SourceUrl::Scheme::wss;
    });
    if (!has_tls) continue;
    const auto made = feed::source_tls(source);
    if (!made) problems.push_back({"feeds[" + std::to_string(n) + "].source.tls", made.error().what});
  }
}

}  // namespace

std::string random_bytes() {
  std::random_device device;
  std::string bytes;
  while (bytes.size() < 32) {
    const auto drawn = device();
    bytes.append(reinterpret_cast<const char*>(&drawn), sizeof drawn);
  }
  return bytes;
}

session::RouteState& Lasting::route(const std::string& name, metrics::Registry& registry) {
  auto& state = routes[name];
  if (state == nullptr) {
    std::vector<metrics::RouteCells*> cells;
    for (std::size_t n = 0; n < workers; ++n) cells.push_back(&registry.route(n, name));
    state = std::make_unique<session::RouteState>(name, std::move(cells));
  }
  return *state;
}

feed::FeedState& Lasting::feed(const std::string& name, metrics::Registry& registry) {
  auto& state = feeds[name];
  if (state == nullptr) {
    std::vector<metrics::FeedCells*> cells;
    for (std::size_t n = 0; n < workers; ++n) cells.push_back(&registry.feed(n, name));
    state = std::make_unique<feed::FeedState>(name, std::move(cells), registry.source(name));
  }
  return *state;
}

frontend::ListenerState& Lasting::listener(const std::string& name, metrics::Registry& registry) {
  auto& state = listeners[name];
  if (state == nullptr) {
    state = std::make_unique<frontend::ListenerState>();
    state->name = name;
    for (std::size_t n = 0; n < workers; ++n) state->cells.push_back(&registry.listener(n, name));
  }
  return *state;
}

Blueprint draw_blueprint(const config::Config& config, std::uint64_t generation, Lasting& lasting,
                         metrics::Registry& registry) {
  Blueprint blueprint;
  auto serving = std::make_shared<frontend::Serving>();
  serving->generation = generation;
  for (std::size_t n = 0; n < config.listeners.size(); ++n) {
    const config::Listener& settings = config.listeners[n];
    frontend::ListenerEntry entry{config::listener_key(settings), settings, nullptr,
                                  &lasting.listener(settings.name, registry)};
    if (settings.tls) {
      auto tls = net::TlsServer::create(*settings.tls, settings.name, lasting.keys);
      if (tls) {
        entry.tls = std::move(tls.value());
      } else {
        blueprint.problems.push_back({"listeners[" + std::to_string(n) + "].tls", tls.error().what});
      }
    }
    serving->listeners.push_back(std::move(entry));
  }
  for (std::size_t n = 0; n < config.upstreams.size(); ++n) {
    serving->destinations.push_back(draw_destination(config.upstreams[n], config.zone, lasting,
                                                     "upstreams[" + std::to_string(n) + "]",
                                                     blueprint.problems));
  }
  ByName by_name;
  for (const auto& destination : serving->destinations)
    by_name.emplace(destination->settings.name, destination);
  serving->dialects = read_dialects(config, blueprint.problems);
  for (std::size_t n = 0; n < config.routes.size(); ++n) {
    serving->routes.push_back(draw_route(config, config.routes[n], lasting, registry, *serving, by_name,
                                         "routes[" + std::to_string(n) + "]", blueprint.problems));
  }
  check_sources(config, blueprint.problems);
  if (blueprint.problems.empty()) blueprint.serving = std::move(serving);
  return blueprint;
}

void apply_lasting(const config::Config& config, const frontend::Serving& serving) {
  for (std::size_t n = 0; n < config.routes.size(); ++n) serving.routes[n].state->apply(config.routes[n]);
  for (const auto& destination : serving.destinations) {
    upstream::UpstreamState& state = destination->upstream->state();
    state.move_rate.store(destination->settings.move_rate, std::memory_order_relaxed);
    state.set_reroute_rate(destination->settings.reroute_rate);
    const config::CircuitBreaker& breaker = destination->settings.circuit_breaker;
    state.circuit().set_limits(breaker.max_sessions, breaker.max_pending);
    state.retries().set_rules({breaker.retry_percent, breaker.min_retries_per_second});
    state.early_death_ms.store(static_cast<std::uint32_t>(destination->settings.outlier.early_death.count()),
                               std::memory_order_relaxed);
    for (std::size_t n = 0; n < destination->settings.backends.size(); ++n) {
      upstream::Backend& backend = *destination->upstream->backends()[n];
      backend.set_weight(destination->settings.backends[n].weight);
      backend.set_max_sessions(destination->settings.backends[n].max_sessions);
      backend.set_probed(
          config::probe_of(destination->settings.probe, destination->settings.backends[n].probe).type !=
          config::ProbeType::none);
    }
  }
}

void begin_slow_starts(const config::Config& before, const frontend::Serving& serving, TimePoint now) {
  for (const auto& destination : serving.destinations) {
    const config::Upstream* old = before.find_upstream(destination->settings.name);
    // A new upstream, or one that discovery has just filled, has nobody who could carry the load meanwhile.
    if (old == nullptr || old->backends.empty()) continue;
    std::set<std::string_view> known;
    for (const config::BackendConfig& backend : old->backends) known.insert(backend.address.text);
    for (const auto& backend : destination->upstream->backends()) {
      if (!known.contains(backend->address())) backend->begin_slow_start(now);
    }
  }
}

std::vector<config::Problem> check_beyond_syntax(const config::Config& config) {
  Lasting lasting(1);
  metrics::Registry registry(1, 1, {"", ""}, [] { return metrics::Sample{}; });
  return draw_blueprint(config, 1, lasting, registry).problems;
}

config::World world() {
  return config::real_world();
}

}  // namespace holdfast::server
