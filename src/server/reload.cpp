// A new config while sessions run: load, validate, diff, apply. Whatever fails before `commit` changes
// nothing.

#include <algorithm>
#include <boost/asio/post.hpp>
#include <map>
#include <set>

#include "holdfast/config/diff.hpp"
#include "server/process.hpp"
#include "server/service_manager.hpp"

namespace holdfast::server {

namespace {

std::map<std::string, std::set<std::string>> members_of(const config::Config& config) {
  std::map<std::string, std::set<std::string>> members;
  for (const config::Upstream& upstream : config.upstreams) {
    auto& addresses = members[upstream.name];
    for (const config::BackendConfig& backend : upstream.backends) addresses.insert(backend.address.text);
  }
  return members;
}

std::string sentence(const config::Problem& problem) {
  return problem.place.empty() ? problem.what : problem.place + ": " + problem.what;
}

}  // namespace

admin::ReloadOutcome Server::Process::reload() {
  const TimePoint begun = Clock::now();
  const auto now = std::chrono::duration_cast<std::chrono::microseconds>(begun.time_since_epoch());
  notify_service_manager("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(now.count()));
  admin::ReloadOutcome outcome;
  outcome.generation = generation_;
  const config::LoadResult loaded = load();
  for (const config::Problem& warning : loaded.warnings) outcome.warnings.push_back(sentence(warning));
  for (const config::Problem& problem : loaded.problems) outcome.errors.push_back(sentence(problem));
  if (phase_ == Phase::draining) outcome.errors.emplace_back("draining: the listeners are closed");
  if (outcome.errors.empty()) apply(discovery_.complete(*loaded.config), outcome);
  if (outcome.result == admin::ReloadOutcome::Result::applied) {
    written_ = *loaded.config;
    discovery_.follow(written_);
  }
  log_reload(outcome, Clock::now() - begun);
  notify_service_manager("READY=1");
  return outcome;
}

// Everything that can fail comes first; the admin port is the last of it, and keeps what it has when it
// fails.
void Server::Process::apply(const config::Config& config, admin::ReloadOutcome& outcome) {
  Blueprint blueprint = draw_blueprint(config, generation_ + 1, planes_->lasting, planes_->registry);
  for (const config::Problem& problem : blueprint.problems) outcome.errors.push_back(sentence(problem));
  if (!outcome.errors.empty()) return;
  auto bound = planes_->listeners->bind_new(config);
  if (!bound) return outcome.errors.push_back(bound.error().what);
  auto outputs = journal_.prepare(config.log);
  if (!outputs) return outcome.errors.push_back(outputs.error().what);
  if (auto opened = admin_->apply(config.admin); !opened)
    return outcome.errors.push_back(opened.error().what);
  for (config::Change& change : config::diff(config_, config))
    outcome.changes.push_back(std::move(change.sentence));
  journal_.adopt(std::move(outputs.value()));
  commit(config, std::move(blueprint.serving), std::move(bound.value()));
  outcome.result = admin::ReloadOutcome::Result::applied;
  outcome.generation = generation_;
}

void Server::Process::commit(config::Config config, std::shared_ptr<const frontend::Serving> serving,
                             std::vector<Listeners::Bound> bound) {
  // Before the snapshot, in which those that still waited in the queue would not find their listener.
  planes_->listeners->close_removed(config);
  apply_lasting(config, *serving);
  begin_slow_starts(config_, *serving, Clock::now());
  generation_ = serving->generation;
  prober_->apply(serving->destinations);
  // Before the snapshot: who joins a feed by it finds the rules of that feed.
  feed::SourceThread::Feeds feeds = apply_feeds(config, serving->dialects);
  present_.set(serving);
  // Who waits for a place looks at the new members.
  for (const auto& destination : serving->destinations) destination->upstream->state().changed();
  planes_->lasting.backends.set_members(members_of(config));
  end_sessions_of_gone_upstreams(config);
  planes_->sources.apply(std::move(feeds), config.shutdown_timeout);
  // After the snapshot, from which the moves pick.
  movements_.apply(serving->destinations, Clock::now());
  // After the snapshot, so that the first connection finds its listener in it. A drain has closed them for
  // good.
  planes_->listeners->open(std::move(bound));
  config_ = std::move(config);
}

feed::SourceThread::Feeds Server::Process::apply_feeds(const config::Config& now,
                                                       const frontend::Dialects& dialects) {
  feed::SourceThread::Feeds feeds;
  for (const config::Feed& settings : now.feeds) {
    feed::FeedState& state = planes_->lasting.feed(settings.name, planes_->registry);
    const auto& dialect = dialects.at(settings.name);
    state.apply(settings, dialect);
    feeds.push_back({&state, settings, dialect});
  }
  return feeds;
}

void Server::Process::end_sessions_of_gone_upstreams(const config::Config& now) {
  std::set<std::string> gone;
  for (const config::Upstream& old : config_.upstreams) gone.insert(old.name);
  for (const config::Upstream& present : now.upstreams) gone.erase(present.name);
  if (gone.empty()) return;
  for (const auto& shard : planes_->shards) {
    shard->send(std::make_unique<session::UpstreamsGone>(now.shutdown_timeout));
  }
}

// Several upstreams may find something in one turn; and the source must not lose itself in its own call.
void Server::Process::found(const std::string&) {
  if (std::exchange(discovered_, true)) return;
  boost::asio::post(io_, [this] { apply_discovered(); });
}

// A reload in small: backends that are gone are left as removed ones are.
void Server::Process::apply_discovered() {
  discovered_ = false;
  if (phase_ == Phase::draining) return;
  admin::ReloadOutcome outcome;
  apply(discovery_.complete(written_), outcome);
  for (const std::string& change : outcome.changes) journal_.info("discovery: " + change);
  if (outcome.errors == why_not_yet_) return;
  for (const std::string& error : outcome.errors) journal_.error("discovery: " + error);
  why_not_yet_ = std::move(outcome.errors);
}

void Server::Process::discovery_failed(const std::string& upstream, const std::string& why) {
  journal_.warn("discovery of upstream " + upstream + " fails, what was found last stays: " + why);
}

void Server::Process::discovery_recovered(const std::string& upstream) {
  journal_.info("discovery of upstream " + upstream + " works again");
}

void Server::Process::log_reload(const admin::ReloadOutcome& outcome, Clock::duration took) {
  metrics::ControlCells& cells = planes_->registry.control();
  for (const std::string& warning : outcome.warnings) journal_.warn(warning);
  if (outcome.result == admin::ReloadOutcome::Result::applied) {
    cells.reloads_ok.add();
    cells.reload_duration.observe(took);
    const auto took_ms = std::chrono::duration_cast<std::chrono::milliseconds>(took).count();
    journal_.info("reloaded " + options_.config_file + ", generation " + std::to_string(outcome.generation) +
                  ": " + std::to_string(outcome.changes.size()) + " changes in " + std::to_string(took_ms) +
                  " ms");
    for (const std::string& change : outcome.changes) journal_.info("reload: " + change);
    return;
  }
  cells.reloads_failed.add();
  journal_.error("reload of " + options_.config_file + " refused, generation " +
                 std::to_string(outcome.generation) + " stays: " + std::to_string(outcome.errors.size()) +
                 " errors");
  for (const std::string& error : outcome.errors) journal_.error("reload: " + error);
}

}  // namespace holdfast::server
