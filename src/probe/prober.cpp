#include "holdfast/probe/prober.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <random>

#include "holdfast/probe/rise_fall.hpp"
#include "probe/once.hpp"

namespace holdfast::probe {

namespace asio = boost::asio;

// One backend's probes; its coroutine ends when `over` is set.
struct Prober::Schedule {
  explicit Schedule(asio::io_context& io) : timer(io) {}
  std::shared_ptr<upstream::Backend> backend;
  std::shared_ptr<const dial::Destination> destination;  ///< replaced by each snapshot
  asio::steady_timer timer;
  RiseFall rise_fall;
  Counts counts;
  bool over = false;
};

Prober::Prober(asio::io_context& io, net::DescriptorBudget& budget, metrics::Histogram& duration,
               FlipSink& flips)
    : io_(io), budget_(budget), duration_(duration), flips_(flips) {}

Prober::~Prober() {
  stop();
}

void Prober::stop() {
  for (auto& [key, schedule] : schedules_) {
    schedule->over = true;
    schedule->timer.cancel();
  }
  schedules_.clear();
}

void Prober::apply(const std::vector<std::shared_ptr<const dial::Destination>>& destinations) {
  std::map<Key, std::shared_ptr<Schedule>> old = std::exchange(schedules_, {});
  for (const auto& destination : destinations) {
    for (const auto& backend : destination->upstream->backends()) {
      const Key key{backend->upstream(), backend->address()};
      auto known = old.extract(key);
      const bool fresh = known.empty();
      auto schedule = fresh ? std::make_shared<Schedule>(io_) : known.mapped();
      schedule->backend = backend;
      schedule->destination = destination;
      schedules_[key] = schedule;
      if (destination->settings.probe.type == config::ProbeType::none) {
        backend->set_health(upstream::Health::unknown);
        schedule->rise_fall = {};
      }
      if (fresh) asio::co_spawn(io_, run(schedule), asio::detached);
    }
  }
  for (auto& [key, schedule] : old) {
    schedule->over = true;
    schedule->timer.cancel();
  }
}

asio::awaitable<void> Prober::run(std::shared_ptr<Schedule> schedule) {
  std::minstd_rand random{std::random_device{}()};
  // The first one at once but not all in the same moment, later ones with a tenth of jitter either way.
  std::uniform_real_distribution<double> first(0.0, 0.1);
  std::uniform_real_distribution<double> later(0.9, 1.1);
  double share = first(random);
  while (!schedule->over) {
    const auto interval =
        std::chrono::duration<double, std::milli>(schedule->destination->settings.probe.interval);
    schedule->timer.expires_after(std::chrono::duration_cast<Clock::duration>(interval * share));
    co_await schedule->timer.async_wait(asio::as_tuple(asio::use_awaitable));
    share = later(random);
    if (schedule->over) co_return;
    const std::shared_ptr<const dial::Destination> destination = schedule->destination;
    const config::BackendConfig* settings = destination->settings_of(*schedule->backend);
    if (settings == nullptr || destination->settings.probe.type == config::ProbeType::none) continue;
    const TimePoint started = Clock::now();
    Result<void> outcome = co_await probe_once(io_, destination, settings->address, budget_);
    if (schedule->over) co_return;
    duration_.observe(Clock::now() - started);
    judge(*schedule, outcome);
  }
}

void Prober::judge(Schedule& schedule, const Result<void>& outcome) {
  // Our own shortage says nothing about the backend.
  if (!outcome && outcome.error().failure == Failure::internal) return;
  if (outcome) {
    ++schedule.counts.passed;
  } else {
    ++(outcome.error().failure == Failure::timeout ? schedule.counts.timeout : schedule.counts.failed);
  }
  upstream::Backend& backend = *schedule.backend;
  const dial::Destination& destination = *schedule.destination;
  destination.upstream->outlier().probed(
      backend, outcome ? upstream::ProbeVerdict::passed : upstream::ProbeVerdict::failed);
  const upstream::Health before = backend.health();
  const config::Probe& probe = destination.settings.probe;
  const upstream::Health after =
      schedule.rise_fall.note(before, outcome ? Outcome::passed : Outcome::failed, probe.rise, probe.fall);
  if (after == before) return;
  backend.set_health(after);
  flips_.flipped({schedule.backend, before, after, outcome ? std::string() : outcome.error().what});
}

Prober::Counts Prober::counts(const upstream::Backend& backend) const {
  const auto found = schedules_.find({backend.upstream(), backend.address()});
  return found == schedules_.end() ? Counts{} : found->second->counts;
}

}  // namespace holdfast::probe
