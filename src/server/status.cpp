// What the process tells: /metrics, /readyz, /status.

#include <algorithm>

#include "holdfast/config/diff.hpp"
#include "server/auth_status.hpp"
#include "server/feed_status.hpp"
#include "server/panic.hpp"
#include "server/process.hpp"
#include "server/protection_status.hpp"
#include "server/release.hpp"
#include "version.hpp"

namespace holdfast::server {

namespace {

// 48 series for each upstream, most of them zero for ever, would drown the rest.
void sample_reroutes(const upstream::UpstreamState& state, metrics::Sample& sample) {
  for (std::size_t n = 0; n < cause_count * reroute_result_count; ++n) {
    const auto cause = static_cast<Cause>(n / reroute_result_count);
    const auto result = static_cast<RerouteResult>(n % reroute_result_count);
    const std::uint64_t count = state.reroutes(cause, result);
    if (count != 0) sample.reroutes.push_back({state.name(), text(cause), text(result), count});
  }
}

void sample_balancing(upstream::UpstreamState& state, const config::Upstream& settings,
                      metrics::Sample& sample) {
  metrics::BalancingSample one;
  one.upstream = settings.name;
  one.queued = state.queue().size();
  for (std::size_t n = 0; settings.queue.length != 0 && n < upstream::queue_result_count; ++n) {
    const auto result = static_cast<upstream::QueueResult>(n);
    one.waits.push_back({std::string(upstream::text(result)), state.queue().count_of(result)});
  }
  for (std::size_t n = 0; settings.sticky && n < upstream::sticky_result_count; ++n) {
    const auto result = static_cast<upstream::StickyResult>(n);
    one.cookies.push_back({std::string(upstream::text(result)), state.count_of(result)});
  }
  sample.balancing.push_back(std::move(one));
}

// What of its weight counts now, of weight and slow start.
double effective_weight(const upstream::Upstream& upstream, const upstream::Backend& backend) {
  return backend.weight() * upstream.ramp(backend, Clock::now()) / 100.0;
}

nlohmann::json place_status(const upstream::Upstream& upstream, const upstream::Backend& backend,
                            const config::BackendConfig& settings) {
  return {{"backup", settings.rank == config::BackendConfig::Rank::backup},
          {"zone", settings.zone},
          {"effective_weight", effective_weight(upstream, backend)}};
}

double seconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

nlohmann::json failures_status(const upstream::Backend& backend) {
  nlohmann::json counts = nlohmann::json::object();
  for (std::size_t n = 0; n < upstream::failure_kinds; ++n) {
    const auto kind = static_cast<upstream::FailureKind>(n);
    counts[std::string(upstream::text(kind))] = backend.failures(kind);
  }
  return counts;
}

nlohmann::json ejection_status(const upstream::Backend& backend) {
  std::uint64_t total = 0;
  for (std::size_t n = 0; n < upstream::eject_reason_count; ++n)
    total += backend.ejections(static_cast<upstream::EjectReason>(n));
  nlohmann::json told{{"total", total}, {"reason", nullptr}, {"lasts_seconds", 0}, {"left_seconds", 0}};
  if (!backend.ejected()) return told;
  const upstream::Ejection ejection = backend.ejection();
  told["reason"] = upstream::text(ejection.reason);
  told["lasts_seconds"] = seconds(ejection.lasts);
  told["left_seconds"] = std::max(0.0, seconds(ejection.until - Clock::now()));
  return told;
}

nlohmann::json probe_status(const probe::Prober::Latest& latest) {
  nlohmann::json told{
      {"result", latest.result}, {"seconds", nullptr}, {"age_seconds", nullptr}, {"error", latest.error}};
  if (latest.at == TimePoint{}) return told;
  told["seconds"] = seconds(latest.took);
  told["age_seconds"] = seconds(Clock::now() - latest.at);
  return told;
}

nlohmann::json discovery_status(const discover::Report& report) {
  nlohmann::json told{{"source", report.source},         {"backends", report.backends},
                      {"age_seconds", nullptr},          {"error", report.error},
                      {"changes_total", report.changes}, {"failures_total", report.failures}};
  if (report.found_at != TimePoint{}) told["age_seconds"] = seconds(Clock::now() - report.found_at);
  return told;
}

nlohmann::json source_status(const config::Upstream& settings) {
  nlohmann::json told = nlohmann::json::array();
  for (const config::SocketAddress& each : settings.source) told.push_back(net::host_text(each));
  return told;
}

bool is_written(const config::Upstream* upstream, const std::string& address) {
  return upstream != nullptr && std::ranges::any_of(upstream->backends, [&](const auto& each) {
           return each.address.text == address;
         });
}

}  // namespace

std::string Server::Process::metrics_text() {
  return planes_->registry.text();
}

metrics::Sample Server::Process::sample() const {
  metrics::Sample sample;
  sample.generation = generation_;
  const auto serving = present_.get();
  sample_protection(*serving, sample);
  for (const auto& destination : serving->destinations) {
    sample_reroutes(*planes_->lasting.backends.state(destination->settings.name), sample);
    sample_balancing(destination->upstream->state(), destination->settings, sample);
    if (const auto found = discovery_.report(destination->settings.name)) {
      sample.discoveries.push_back(
          {destination->settings.name,
           found->error.empty() && found->found_at != TimePoint{},
           found->backends,
           {{"changed", found->changes}, {"same", found->confirmations}, {"failed", found->failures}}});
    }
    sample.panics.push_back({destination->settings.name, destination->upstream->panics() ? 1U : 0U});
    for (const auto& backend : destination->upstream->backends()) {
      metrics::BackendSample one;
      one.weight = effective_weight(*destination->upstream, *backend);
      one.upstream = backend->upstream();
      one.backend = backend->address();
      one.sessions = backend->sessions();
      one.picks_total = backend->picks();
      one.up = backend->health() != upstream::Health::unhealthy;
      one.ejected = backend->ejected();
      one.state = std::string(upstream::text(backend->admin_state()));
      for (std::size_t n = 0; n < upstream::failure_kinds; ++n) {
        const auto kind = static_cast<upstream::FailureKind>(n);
        one.failures.push_back({std::string(upstream::text(kind)), backend->failures(kind)});
      }
      for (std::size_t n = 0; n < upstream::eject_reason_count; ++n) {
        const auto reason = static_cast<upstream::EjectReason>(n);
        if (const std::uint64_t count = backend->ejections(reason); count != 0)
          one.ejections.push_back({std::string(upstream::text(reason)), count});
      }
      const probe::Prober::Counts counts = prober_->counts(*backend);
      one.probes = {{"passed", counts.passed}, {"failed", counts.failed}, {"timeout", counts.timeout}};
      sample.backends.push_back(std::move(one));
    }
  }
  return sample;
}

admin::Ready Server::Process::ready(const std::optional<std::string>& route) {
  admin::Ready ready;
  const auto serving = present_.get();
  if (phase_ != Phase::serving) ready.details.emplace_back("draining");
  for (const config::Listener& listener : config_.listeners) {
    if (planes_->listeners->bound_address(config::listener_key(listener)).empty()) {
      ready.details.push_back("listener " + listener.name + " is closed");
    }
  }
  bool some = false;
  bool known = !route.has_value();
  for (const auto& destination : serving->destinations) {
    if (destination->upstream->panics()) ready.details.push_back(panic_sentence(*destination->upstream));
  }
  for (const frontend::RouteEntry& entry : serving->routes) {
    const bool eligible = entry.feed != nullptr || entry.destination->upstream->has_eligible();
    const std::string& name = entry.state->name();
    if (!eligible)
      ready.details.push_back("route " + name + ": upstream " + entry.destination->upstream->name() +
                              " has no eligible backend");
    if (route && name != *route) continue;
    known = true;
    some = some || eligible;
  }
  if (!known) {
    ready.readiness = admin::Readiness::no_such_route;
  } else if (some && phase_ == Phase::serving && planes_->listeners->all_open(config_)) {
    ready.readiness = admin::Readiness::ready;
  }
  return ready;
}

nlohmann::json Server::Process::backend_status(const upstream::Backend& backend) const {
  return {{"address", backend.address()},
          {"health", upstream::text(backend.health())},
          {"state", upstream::text(backend.admin_state())},
          {"ejected", backend.ejected()},
          {"sessions", backend.sessions()},
          {"weight", backend.weight()},
          {"max_sessions", backend.max_sessions()},
          {"picks_total", backend.picks()},
          {"reroutes_from_total", backend.reroutes_from()},
          {"reroutes_to_total", backend.reroutes_to()},
          {"last_error", backend.last_error()},
          {"failures", failures_status(backend)},
          {"ejection", ejection_status(backend)},
          {"probe", probe_status(prober_->latest(backend))}};
}

nlohmann::json Server::Process::status() {
  const auto serving = present_.get();
  const auto uptime = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - started_);
  nlohmann::json listeners = nlohmann::json::array();
  for (const frontend::ListenerEntry& listener : serving->listeners) {
    listeners.push_back({{"name", listener.settings.name},
                         {"bind", planes_->listeners->bound_address(listener.key)},
                         {"tls", listener.tls != nullptr},
                         {"sessions", planes_->registry.open_sessions(listener.settings.name)},
                         {"protection", protection_status(listener)}});
  }
  nlohmann::json routes = nlohmann::json::array();
  for (const frontend::RouteEntry& route : serving->routes) {
    routes.push_back({{"name", route.state->name()},
                      {"upstream", route.feed == nullptr ? route.destination->upstream->name() : ""},
                      {"feed", route.feed == nullptr ? "" : route.feed->name()},
                      {"auth", auth_status(route)},
                      {"protection", protection_status(route)}});
  }
  nlohmann::json upstreams = nlohmann::json::array();
  for (const auto& destination : serving->destinations) {
    nlohmann::json backends = nlohmann::json::array();
    const config::Upstream& settings = destination->settings;
    const auto found = discovery_.report(settings.name);
    const config::Upstream* written = found ? written_.find_upstream(settings.name) : nullptr;
    for (std::size_t n = 0; n < settings.backends.size(); ++n) {
      const upstream::Backend& backend = *destination->upstream->backends()[n];
      backends.push_back(backend_status(backend));
      backends.back().update(place_status(*destination->upstream, backend, settings.backends[n]));
      if (found) backends.back()["discovered"] = !is_written(written, backend.address());
    }
    const upstream::Upstream::Census census = destination->upstream->census();
    upstreams.push_back(
        {{"name", settings.name},
         {"panic", destination->upstream->panics(census)},
         {"eligible", census.eligible},
         {"active", census.active},
         {"circuit", circuit_status(destination->upstream->state())},
         {"policy", config::to_string(settings.policy)},
         {"source", source_status(settings)},
         {"dial_shortages_total", destination->upstream->state().shortages()},
         {"sticky", settings.sticky ? nlohmann::json(settings.sticky->cookie) : nullptr},
         {"queue",
          {{"length", settings.queue.length}, {"waiting", destination->upstream->state().queue().size()}}},
         {"backends", std::move(backends)}});
    if (found) upstreams.back()["discovery"] = discovery_status(*found);
  }
  return {{"version", release},
          {"commit", build_commit},
          {"generation", generation_},
          {"uptime_seconds", uptime.count()},
          {"zone", config_.zone},
          {"workers", planes_->shards.size()},
          {"draining", phase_ != Phase::serving},
          {"descriptors", {{"used", budget_.used()}, {"usable", budget_.usable()}}},
          {"listeners", std::move(listeners)},
          {"routes", std::move(routes)},
          {"upstreams", std::move(upstreams)},
          {"feeds", feeds_status(config_, planes_->lasting, planes_->sources)}};
}

void Server::Process::flipped(const probe::Flip& flip) {
  const std::string name = "backend " + flip.backend->upstream() + "/" + flip.backend->address();
  const std::string what = name + " is " + std::string(upstream::text(flip.after)) + ", was " +
                           std::string(upstream::text(flip.before)) +
                           (flip.why.empty() ? "" : ": " + flip.why);
  if (flip.after == upstream::Health::unhealthy) {
    journal_.warn(what);
    movements_.leaves(flip.backend, Cause::unhealthy);
  } else {
    journal_.info(what);
    movements_.comes(*flip.backend);
  }
}

std::shared_ptr<const dial::Destination> Server::Process::find_destination(
    const std::string& upstream) const {
  const auto serving = present_.get();
  for (const auto& destination : serving->destinations) {
    if (destination->settings.name == upstream) return destination;
  }
  return nullptr;
}

std::uint64_t Server::Process::connections() const {
  std::uint64_t count = 0;
  for (const auto& [name, listener] : planes_->lasting.listeners) {
    count += listener->load.connections.load(std::memory_order_relaxed);
  }
  return count;
}

}  // namespace holdfast::server
