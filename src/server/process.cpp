#include "server/process.hpp"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <random>

#include "holdfast/config/diff.hpp"
#include "server/release.hpp"
#include "server/scheduling.hpp"
#include "server/service_manager.hpp"
#include "server/workers.hpp"
#include "version.hpp"

namespace holdfast::server {

namespace asio = boost::asio;

namespace {
constexpr std::chrono::milliseconds tick_period{500};
constexpr std::chrono::milliseconds drain_look_period{20};
// Of a pump: some 30 messages.
constexpr std::chrono::microseconds pump_slice{500};

// Of one worker's three threads: epoll, eventfd, a timerfd of the two that have one, an io_uring.
constexpr std::uint64_t descriptors_per_worker = 9;

// Kept free for listeners, logs, the admin port, probes and answers: a sixteenth, at least 64.
std::uint64_t descriptor_reserve(std::uint64_t limit) {
  return std::max<std::uint64_t>(64, limit / 16);
}
}  // namespace

Server::Process::Process(Options options)
    : options_(std::move(options)),
      started_(Clock::now()),
      budget_(net::raise_descriptor_limit(), descriptor_reserve(net::raise_descriptor_limit())),
      movements_([this](const Movements::Backends& from, Cause cause, std::uint64_t most) {
        tell_to_move(from, cause, most);
      }),
      signals_(io_),
      ticker_(io_),
      drain_timer_(io_),
      discovery_(io_, *this) {}

Server::Process::~Process() {
  stop_planes();
}

config::LoadResult Server::Process::load() const {
  if (!options_.built_in) return config::load(options_.config_file, world());
  config::LoadResult result;
  result.file = "(built in)";
  result.config = options_.built_in;
  return result;
}

int Server::Process::start() {
  config::LoadResult loaded = load();
  if (loaded.config) {
    for (config::Problem& problem : check_beyond_syntax(*loaded.config))
      loaded.problems.push_back(std::move(problem));
  }
  if (!loaded.problems.empty()) {
    std::fputs(config::check_report(loaded).c_str(), stderr);
    return exit_usage;
  }
  for (const config::Problem& warning : loaded.warnings) journal_.warn(warning.place + ": " + warning.what);
  auto outputs = journal_.prepare(loaded.config->log);
  if (!outputs) {
    journal_.error(outputs.error().what);
    return exit_failure;
  }
  journal_.adopt(std::move(outputs.value()));
  if (!start_planes(*loaded.config)) return exit_failure;
  admin_ = std::make_unique<admin::Server>(io_, *this);
  if (auto opened = admin_->apply(loaded.config->admin); !opened) {
    journal_.error(opened.error().what);
    return exit_failure;
  }
  auto bound = planes_->listeners->bind_new(*loaded.config);
  if (!bound) {
    journal_.error(bound.error().what);
    return exit_failure;
  }
  written_ = std::move(*loaded.config);
  config::Config whole = discovery_.complete(written_);
  Blueprint blueprint = draw_blueprint(whole, 1, planes_->lasting, planes_->registry);
  prober_ = std::make_unique<probe::Prober>(io_, budget_, planes_->registry.control().probe_duration,
                                            static_cast<probe::FlipSink&>(*this));
  commit(std::move(whole), std::move(blueprint.serving), std::move(bound.value()));
  discovery_.follow(written_);
  return exit_ok;
}

bool Server::Process::start_planes(const config::Config& config) {
  const std::size_t workers = worker_count(config.workers);
  budget_.keep(descriptors_per_worker * workers);
  planes_ = std::make_unique<Planes>(workers, metrics::BuildInfo{release, build_commit},
                                     [this] { return sample(); });
  const std::uint64_t marker = std::mt19937_64(std::random_device{}())();
  frontend::SetupThread::Surroundings around;
  for (std::size_t n = 0; n < workers; ++n) {
    planes_->setup_threads.push_back(std::make_unique<frontend::SetupThread>());
    around.all.push_back(planes_->setup_threads.back().get());
    planes_->reroute_threads.push_back(std::make_unique<frontend::SetupThread>());
    planes_->shards.push_back(std::make_unique<session::Shard>(session::Shard::Surroundings{
        n, planes_->registry.pump(n), journal_, journal_, marker, planes_->reroute_threads[n].get(),
        config.limits.hold_memory / workers, static_cast<std::uint32_t>(workers), &budget_}));
    around.shards.push_back(planes_->shards.back().get());
    planes_->audiences.push_back(std::make_unique<feed::Audience>(*planes_->shards.back(), planes_->sources,
                                                                  n, net::SendBatch::Mode::ring));
    around.audiences.push_back(planes_->audiences.back().get());
  }
  planes_->listeners = std::make_unique<Listeners>(around.all);
  around.present = &present_;
  around.budget = &budget_;
  around.hard_descriptors = budget_.usable() + descriptor_reserve(net::raise_descriptor_limit()) / 2;
  around.access = &journal_;
  around.log = &journal_;
  around.tls_handshakes = config.limits.tls_handshakes;
  // Signals are the control thread's: the others inherit a mask that blocks them all.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (std::size_t n = 0; n < workers; ++n) {
    planes_->pump_threads.emplace_back([shard = planes_->shards[n].get(), n] {
      pthread_setname_np(pthread_self(), ("pump-" + std::to_string(n)).c_str());
      prefer_short_slices(pump_slice);
      shard->run();
    });
    around.index = n;
    around.cells = &planes_->registry.setup(n);
    planes_->setup_threads[n]->start(around);
    frontend::SetupThread::Surroundings beside = around;
    beside.duty = frontend::Duty::reroutes;
    beside.index = workers + n;
    beside.cells = &planes_->registry.setup(workers + n);
    planes_->reroute_threads[n]->start(std::move(beside));
  }
  planes_->sources.start(
      {&budget_, &journal_, [this](const std::string& name) { return find_destination(name); }},
      around.audiences);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  journal_.info("holdfast " + std::string(release) + " (" + std::string(build_commit) + "), " +
                std::to_string(workers) + " workers, " + std::to_string(budget_.usable()) +
                " descriptors for connections");
  return true;
}

bool Server::Process::tell_ready() {
  std::map<std::string, std::string> bound;
  for (const config::Listener& listener : config_.listeners) {
    bound[listener.name] = planes_->listeners->bound_address(config::listener_key(listener));
    journal_.info("listener " + listener.name + " on " + bound[listener.name] +
                  (listener.tls ? " (TLS)" : ""));
  }
  std::string admin;
  if (config_.admin.bind && admin_->port() != 0) {
    const std::string& host = config_.admin.bind->host;
    admin = (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" +
            std::to_string(admin_->port());
    journal_.info("admin on http://" + admin);
  }
  if (!options_.ready_file.empty()) {
    const nlohmann::json told{{"pid", getpid()}, {"listeners", bound}, {"admin", admin}};
    const std::string unfinished = options_.ready_file + ".new";
    std::ofstream(unfinished) << told.dump() << '\n';
    if (std::rename(unfinished.c_str(), options_.ready_file.c_str()) != 0) {
      journal_.error("cannot write " + options_.ready_file);
      return false;
    }
  }
  notify_service_manager("READY=1");
  if (options_.on_ready) options_.on_ready(bound, admin);
  return true;
}

int Server::Process::run() {
  // A client that is gone shows as a failed write, not as a signal.
  std::signal(SIGPIPE, SIG_IGN);
  if (const int failed = start(); failed != exit_ok) return failed;
  wait_for_signals();
  tick();
  if (!tell_ready()) return exit_failure;
  io_.run();
  prober_->stop();
  admin_->close();
  stop_planes();
  journal_.info("stopped");
  // Somebody who does not read our stderr must not keep the process alive.
  if (!journal_.finish(std::chrono::seconds(2))) _exit(exit_status_);
  return exit_status_;
}

void Server::Process::terminate() {
  asio::post(io_, [this] { phase_ == Phase::serving ? begin_drain() : stop_now(); });
}

void Server::Process::wait_for_signals() {
  if (!options_.built_in) signals_.add(SIGHUP);
  signals_.add(SIGTERM);
  signals_.add(SIGINT);
  const auto wait = [this](const auto& again) -> void {
    signals_.async_wait([this, again](const boost::system::error_code& error, int number) {
      if (error) return;
      if (number == SIGHUP) {
        (void)reload();
      } else if (phase_ == Phase::serving) {
        begin_drain();
      } else {
        stop_now();
      }
      again(again);
    });
  };
  wait(wait);
}

void Server::Process::look_at_backends() {
  const auto serving = present_.get();
  for (const auto& destination : serving->destinations) {
    for (const auto& ejected : destination->upstream->outlier().collect(Clock::now()))
      journal_.warn(upstream::ejection_sentence(*ejected.backend, ejected.why));
    for (const auto& backend : destination->upstream->outlier().tick(Clock::now())) {
      journal_.info("backend " + backend->upstream() + "/" + backend->address() + " readmitted on trial");
      movements_.comes(*backend);
    }
  }
  const PanicWatch::News news = panics_.look(serving->destinations);
  for (const std::string& sentence : news.begun) journal_.warn(sentence);
  for (const std::string& sentence : news.over) journal_.info(sentence);
}

void Server::Process::tick() {
  look_at_backends();
  if (phase_ != Phase::draining) movements_.tick(Clock::now());
  if (!why_not_yet_.empty()) apply_discovered();
  planes_->lasting.backends.forget_unused();
  const TimePoint due = Clock::now() + tick_period;
  ticker_.expires_at(due);
  ticker_.async_wait([this, due](const boost::system::error_code& error) {
    if (error) return;
    planes_->registry.control().loop_lag.observe(Clock::now() - due);
    tick();
  });
}

void Server::Process::begin_drain() {
  phase_ = Phase::delaying;
  notify_service_manager("STOPPING=1");
  journal_.info("draining: " + std::to_string(connections()) + " connections");
  drain_timer_.expires_after(config_.shutdown_delay);
  drain_timer_.async_wait([this](const boost::system::error_code& error) {
    if (error || phase_ != Phase::delaying) return;
    phase_ = Phase::draining;
    planes_->listeners->close_all();
    end_sessions();
    watch_drain(Clock::now() + config_.shutdown_timeout);
  });
}

void Server::Process::end_sessions() {
  // The last ones need time for their answers, too.
  const auto spread = config_.shutdown_timeout * 4 / 5;
  for (const auto& shard : planes_->shards) {
    shard->send(std::make_unique<session::EndSessions>(Reason::drain, spread));
  }
}

void Server::Process::watch_drain(TimePoint cut_at) {
  if (connections() == 0 || Clock::now() >= cut_at) {
    if (const auto left = connections(); left != 0)
      journal_.info("cut " + std::to_string(left) + " connections");
    io_.stop();
    return;
  }
  drain_timer_.expires_after(drain_look_period);
  drain_timer_.async_wait([this, cut_at](const boost::system::error_code& error) {
    if (!error) watch_drain(cut_at);
  });
}

void Server::Process::stop_now() {
  journal_.info("stopping now: " + std::to_string(connections()) + " connections are cut");
  io_.stop();
}

void Server::Process::stop_planes() {
  if (planes_ == nullptr) return;
  if (planes_->listeners != nullptr) planes_->listeners->close_all();
  // Each plane knows the other: setup threads send sessions and replies to the shards, the shards ask the
  // setup threads. So both kinds of threads end before either kind of object. What is sent meanwhile waits in
  // an inbox or an io_context that nobody looks at any more, and dies with it.
  for (const auto& threads : {&planes_->setup_threads, &planes_->reroute_threads}) {
    for (const auto& thread : *threads) thread->stop();
    for (const auto& thread : *threads) thread->join();
  }
  planes_->sources.stop();
  planes_->sources.join();
  for (const auto& shard : planes_->shards) {
    shard->send(std::make_unique<session::CutSessions>());
    shard->stop();
  }
  for (std::thread& thread : planes_->pump_threads) thread.join();
  planes_->pump_threads.clear();
  // Suspended handshakes and attempts die with their io_context and may still send to a shard; a session that
  // dies with its shard is cut without a word and asks nobody.
  planes_->setup_threads.clear();
  planes_->reroute_threads.clear();
  planes_->audiences.clear();
  planes_->shards.clear();
}

}  // namespace holdfast::server
