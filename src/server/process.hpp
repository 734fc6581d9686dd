#pragma once
// Everything that one holdfast process owns. process.cpp: start and end; reload.cpp: a new config;
// status.cpp: what the admin API and the metrics tell; operations.cpp: what an operator does to sessions.
// Thread: the control thread's, but for `terminate`.

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <nlohmann/json.hpp>
#include <thread>

#include "holdfast/admin/control.hpp"
#include "holdfast/admin/server.hpp"
#include "holdfast/discover/discovery.hpp"
#include "holdfast/feed/source_thread.hpp"
#include "holdfast/frontend/setup_thread.hpp"
#include "holdfast/metrics/registry.hpp"
#include "holdfast/probe/prober.hpp"
#include "holdfast/server/server.hpp"
#include "holdfast/session/shard.hpp"
#include "server/blueprint.hpp"
#include "server/journal.hpp"
#include "server/listeners.hpp"
#include "server/movements.hpp"
#include "server/panic.hpp"

namespace holdfast::server {

class Server::Process final : public admin::Control,
                              private probe::FlipSink,
                              private discover::Discovery::Sink {
 public:
  explicit Process(Options options);
  ~Process() override;

  [[nodiscard]] int run();
  void terminate();

  // admin::Control
  [[nodiscard]] std::string metrics_text() override;
  [[nodiscard]] admin::Ready ready(const std::optional<std::string>& route) override;
  [[nodiscard]] nlohmann::json status() override;
  [[nodiscard]] admin::ReloadOutcome reload() override;
  [[nodiscard]] admin::StateOutcome set_backend_state(const std::string& upstream, const std::string& backend,
                                                      admin::BackendState state) override;
  [[nodiscard]] std::optional<nlohmann::json> sessions(const admin::SessionQuery& query) override;
  [[nodiscard]] admin::SessionAnswer order(const admin::SessionKey& session,
                                           admin::SessionAction action) override;
  [[nodiscard]] std::optional<std::vector<admin::SessionsToMove>> rebalance(
      const std::string& upstream) override;

 private:
  enum class Phase : std::uint8_t {
    serving,
    delaying,  ///< not ready any more, but accepting (shutdown_delay)
    draining,  ///< listeners closed, sessions are being closed
  };

  /// What exists only once the number of workers is known.
  struct Planes;

  [[nodiscard]] config::LoadResult load() const;
  [[nodiscard]] int start();
  [[nodiscard]] bool start_planes(const config::Config& config);
  [[nodiscard]] bool tell_ready();
  void stop_planes();
  void wait_for_signals();
  void tick();
  void look_at_backends();

  void begin_drain();
  void end_sessions();
  void watch_drain(TimePoint cut_at);
  void stop_now();

  void commit(config::Config config, std::shared_ptr<const frontend::Serving> serving,
              std::vector<Listeners::Bound> bound);
  [[nodiscard]] feed::SourceThread::Feeds apply_feeds(const config::Config& now,
                                                      const frontend::Dialects& dialects);
  void end_sessions_of_gone_upstreams(const config::Config& now);
  void apply(const config::Config& config, admin::ReloadOutcome& outcome);
  void log_reload(const admin::ReloadOutcome& outcome, Clock::duration took);

  void found(const std::string& upstream) override;
  void discovery_failed(const std::string& upstream, const std::string& why) override;
  void discovery_recovered(const std::string& upstream) override;
  void apply_discovered();
  void flipped(const probe::Flip& flip) override;
  [[nodiscard]] metrics::Sample sample() const;
  [[nodiscard]] nlohmann::json backend_status(const upstream::Backend& backend) const;
  [[nodiscard]] std::uint64_t connections() const;
  /// Of the present snapshot; any thread.
  [[nodiscard]] std::shared_ptr<const dial::Destination> find_destination(const std::string& upstream) const;

  /// To all shards, `most` in even parts.
  void tell_to_move(const Movements::Backends& from, Cause cause, std::uint64_t most);
  void change_state(const std::shared_ptr<upstream::Backend>& backend, admin::BackendState state);
  /// Open ones; of one upstream (empty = all) those that have a backend.
  [[nodiscard]] std::uint64_t count_sessions(const std::string& upstream) const;

  // In the order of dependence: what is below uses what is above and dies first.
  Options options_;
  config::Config written_;  ///< as in the file
  config::Config config_;   ///< in force: with the backends that were discovered
  std::uint64_t generation_ = 0;
  TimePoint started_;
  Phase phase_ = Phase::serving;
  int exit_status_ = exit_ok;
  Journal journal_;
  net::DescriptorBudget budget_;
  frontend::Present present_;
  std::unique_ptr<Planes> planes_;
  Movements movements_;
  PanicWatch panics_;
  std::size_t first_told_ = 0;
  boost::asio::io_context io_{1};
  boost::asio::signal_set signals_;
  boost::asio::steady_timer ticker_;
  boost::asio::steady_timer drain_timer_;
  std::unique_ptr<admin::Server> admin_;
  discover::Discovery discovery_;
  bool discovered_ = false;               ///< something that is not in force yet
  std::vector<std::string> why_not_yet_;  ///< applying it failed: tried again at each tick
  std::unique_ptr<probe::Prober> prober_;
};

struct Server::Process::Planes {
  Planes(std::size_t workers, metrics::BuildInfo build, std::function<metrics::Sample()> sample)
      : registry(2 * workers, workers, std::move(build), std::move(sample)), lasting(workers) {}

  metrics::Registry registry;
  Lasting lasting;
  feed::SourceThread sources;
  std::vector<std::unique_ptr<session::Shard>> shards;
  std::vector<std::unique_ptr<feed::Audience>> audiences;  ///< one per shard
  std::vector<std::thread> pump_threads;
  std::vector<std::unique_ptr<frontend::SetupThread>> setup_threads;
  std::vector<std::unique_ptr<frontend::SetupThread>> reroute_threads;  ///< one per shard
  std::unique_ptr<Listeners> listeners;
};

}  // namespace holdfast::server
