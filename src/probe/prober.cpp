#include "holdfast/probe/prober.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "holdfast/probe/rise_fall.hpp"
#include "probe/once.hpp"

namespace holdfast::probe {

namespace asio = boost::asio;

namespace {
constexpr std::int64_t first_probes_per_ms = 1;
}  // namespace

// One backend's probes; its coroutine ends when `over` is set.
struct Prober::Schedule {
  explicit Schedule(asio::io_context& io) : timer(io) {}
  std::shared_ptr<upstream::Backend> backend;
  // Both are replaced by each snapshot.
  std::shared_ptr<const dial::Destination> destination;
  const config::BackendConfig* settings = nullptr;  ///< within the destination
  asio::steady_timer timer;
  RiseFall rise_fall;
  Counts counts;
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
      schedule->destination = destination;
      schedule->settings = &destination->settings.backends[n];
      if (destination->settings.probe.type == config::ProbeType::none) {
        backend->set_health(upstream::Health::unknown);
        schedule->rise_fall = {};
      }
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

asio::awaitable<void> Prober::run(std::shared_ptr<Schedule> schedule, std::size_t fresh) {
  using Wait = std::chrono::duration<double, std::milli>;
  std::uniform_real_distribution<double> share(0.0, 1.0);
  Wait wait = share(random_) * Wait(first_within(fresh, schedule->destination->settings.probe.interval));
  while (!schedule->over) {
    schedule->timer.expires_after(std::chrono::duration_cast<Clock::duration>(wait));
    co_await schedule->timer.async_wait(asio::as_tuple(asio::use_awaitable));
    if (schedule->over) co_return;
    // A tenth of jitter either way.
    wait = (0.9 + 0.2 * share(random_)) * Wait(schedule->destination->settings.probe.interval);
    const std::shared_ptr<const dial::Destination> destination = schedule->destination;
    if (destination->settings.probe.type == config::ProbeType::none) continue;
    const TimePoint started = Clock::now();
    config::Address address = schedule->settings->address;
    Result<void> outcome = co_await probe_once(io_, destination, std::move(address), budget_);
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
