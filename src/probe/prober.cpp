#include "holdfast/probe/prober.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "holdfast/probe/rise_fall.hpp"
#include "probe/once.hpp"
#include "probe/target.hpp"

namespace holdfast::probe {

namespace asio = boost::asio;

namespace {
constexpr std::int64_t first_probes_per_ms = 1;

// Rounded up, so that one wake-up of the thread serves several probes where there are many.
TimePoint on_the_beat(TimePoint when, std::chrono::milliseconds interval) noexcept {
  const Clock::duration beat =
      std::clamp(interval / 100, std::chrono::milliseconds(1), std::chrono::milliseconds(20));
  return TimePoint((when.time_since_epoch() + beat - Clock::duration(1)) / beat * beat);
}
}  // namespace

// One backend's probes; its coroutine ends when `over` is set.
struct Prober::Schedule {
  explicit Schedule(asio::io_context& io) : timer(io) {}
  std::shared_ptr<upstream::Backend> backend;
  std::shared_ptr<const Target> target;  // replaced by each snapshot
  asio::steady_timer timer;
  RiseFall rise_fall;
  Counts counts;
  Latest latest;
  bool over = false;
};

Prober::Prober(asio::io_context& io, net::DescriptorBudget& budget, metrics::Histogram& duration,
               FlipSink& flips)
    : io_(io), budget_(budget), duration_(duration), flips_(flips), random_(std::random_device{}()) {}

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
  std::vector<std::shared_ptr<Schedule>> fresh;
  for (const auto& destination : destinations) {
    const auto backends = destination->upstream->backends();
    for (std::size_t n = 0; n < backends.size(); ++n) {
      const auto& backend = backends[n];
      Key key{backend->upstream(), backend->address()};
      auto known = old.extract(key);
      if (known.empty()) fresh.push_back(std::make_shared<Schedule>(io_));
      auto schedule = known.empty() ? fresh.back() : std::move(known.mapped());
      schedule->backend = backend;
      const auto before = std::exchange(schedule->target, std::make_shared<const Target>(destination, n));
      const config::Probe& settings = schedule->target->settings;
      if (settings.type == config::ProbeType::none) {
        backend->set_health(upstream::Health::unknown);
        schedule->rise_fall = {};
        schedule->latest = {};
      }
      // What it waits for may be an hour away.
      if (before != nullptr && before->settings != settings) schedule->timer.cancel();
      schedules_.emplace(std::move(key), std::move(schedule));
    }
  }
  for (auto& schedule : fresh) asio::co_spawn(io_, run(std::move(schedule), fresh.size()), asio::detached);
  for (auto& [key, schedule] : old) {
    schedule->over = true;
    schedule->timer.cancel();
  }
}

std::chrono::milliseconds Prober::first_within(std::size_t fresh,
                                               std::chrono::milliseconds interval) noexcept {
  const std::chrono::milliseconds at_the_rate(static_cast<std::int64_t>(fresh) / first_probes_per_ms);
  return std::clamp(at_the_rate, interval / 10, interval);
}

std::chrono::milliseconds Prober::pause(const config::Probe& probe, upstream::Health health) noexcept {
  const bool down = health == upstream::Health::unhealthy && probe.interval_down.count() != 0;
  return down ? probe.interval_down : probe.interval;
}

asio::awaitable<void> Prober::run(std::shared_ptr<Schedule> schedule, std::size_t fresh) {
  using Wait = std::chrono::duration<double, std::milli>;
  std::uniform_real_distribution<double> share(0.0, 1.0);
  Wait wait = share(random_) * Wait(first_within(fresh, schedule->target->settings.interval));
  while (!schedule->over) {
    const config::Probe& present = schedule->target->settings;
    schedule->timer.expires_at(
        on_the_beat(Clock::now() + std::chrono::duration_cast<Clock::duration>(wait), present.interval));
    co_await schedule->timer.async_wait(asio::as_tuple(asio::use_awaitable));
    if (schedule->over) co_return;
    const std::shared_ptr<const Target> target = schedule->target;
    if (target->settings.type != config::ProbeType::none) {
      const TimePoint began = Clock::now();
      Report outcome = co_await probe_once(io_, target, budget_);
      if (schedule->over) co_return;
      judge(*schedule, outcome.result, began, outcome.ended);
      if (outcome.leg != nullptr) co_await part(std::move(outcome.leg));
      if (schedule->over) co_return;
    }
    // A tenth of jitter either way.
    wait =
        (0.9 + 0.2 * share(random_)) * Wait(pause(schedule->target->settings, schedule->backend->health()));
  }
}

void Prober::judge(Schedule& schedule, const Result<void>& outcome, TimePoint began, TimePoint ended) {
  // Our own shortage says nothing about the backend.
  if (!outcome && outcome.error().failure == Failure::internal) return;
  duration_.observe(ended - began);
  const bool timed_out = !outcome && outcome.error().failure == Failure::timeout;
  ++(outcome ? schedule.counts.passed : timed_out ? schedule.counts.timeout : schedule.counts.failed);
  schedule.latest = {outcome     ? "passed"
                     : timed_out ? "timeout"
                                 : "failed",
                     ended - began, ended, outcome ? std::string() : outcome.error().what};
  upstream::Backend& backend = *schedule.backend;
  const Target& target = *schedule.target;
  target.destination->upstream->outlier().probed(
      backend, outcome ? upstream::ProbeVerdict::passed : upstream::ProbeVerdict::failed);
  const upstream::Health before = backend.health();
  const upstream::Health after = schedule.rise_fall.note(before, outcome ? Outcome::passed : Outcome::failed,
                                                         target.settings.rise, target.settings.fall);
  if (after == before) return;
  backend.set_health(after);
  flips_.flipped({schedule.backend, before, after, outcome ? std::string() : outcome.error().what});
}

Prober::Counts Prober::counts(const upstream::Backend& backend) const {
  const auto found = schedules_.find({backend.upstream(), backend.address()});
  return found == schedules_.end() ? Counts{} : found->second->counts;
}

Prober::Latest Prober::latest(const upstream::Backend& backend) const {
  const auto found = schedules_.find({backend.upstream(), backend.address()});
  return found == schedules_.end() ? Latest{} : found->second->latest;
}

}  // namespace holdfast::probe
