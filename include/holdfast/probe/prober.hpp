#pragma once
// Probes every backend of the present snapshot and keeps its health.
//
// Thread: the control thread's io_context.

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "holdfast/dial/dial.hpp"
#include "holdfast/metrics/cells.hpp"

namespace holdfast::probe {

/// A backend's health has changed.
struct Flip {
  std::shared_ptr<upstream::Backend> backend;
  upstream::Health before;
  upstream::Health after;
  std::string why;  ///< of the last failed probe; empty when it passed
};

class FlipSink {
 public:
  virtual void flipped(const Flip& flip) = 0;

 protected:
  ~FlipSink() = default;
};

class Prober {
 public:
  struct Counts {
    std::uint64_t passed = 0;
    std::uint64_t failed = 0;
    std::uint64_t timeout = 0;
  };
  /// The latest probe of a backend.
  struct Latest {
    std::string_view result = "none";  ///< yet; passed, failed, timeout
    std::chrono::nanoseconds took{0};
    TimePoint at{};
    std::string error;  ///< empty when it passed
  };

  /// All outlive the prober and the io_context's handlers.
  Prober(boost::asio::io_context& io, net::DescriptorBudget& budget, metrics::Histogram& duration,
         FlipSink& flips);
  ~Prober();
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;

  /// Takes a new snapshot: keeps the schedule and the counts of backends that stay, stops those that went.
  void apply(const std::vector<std::shared_ptr<const dial::Destination>>& destinations);
  void stop();

  [[nodiscard]] Counts counts(const upstream::Backend& backend) const;
  [[nodiscard]] Latest latest(const upstream::Backend& backend) const;

  /// The time over which so many new backends get their first probes: soon, but thousands not at once.
  [[nodiscard]] static std::chrono::milliseconds first_within(std::size_t fresh,
                                                              std::chrono::milliseconds interval) noexcept;
  /// How long after one probe's end the next begins, before the jitter of a tenth either way.
  [[nodiscard]] static std::chrono::milliseconds pause(const config::Probe& probe,
                                                       upstream::Health health) noexcept;

 private:
  struct Schedule;
  using Key = std::pair<std::string, std::string>;  ///< upstream, address
  boost::asio::awaitable<void> run(std::shared_ptr<Schedule> schedule, std::size_t fresh);
  void judge(Schedule& schedule, const Result<void>& outcome, TimePoint began, TimePoint ended);

  boost::asio::io_context& io_;
  net::DescriptorBudget& budget_;
  metrics::Histogram& duration_;
  FlipSink& flips_;
  std::minstd_rand random_;
  std::map<Key, std::shared_ptr<Schedule>> schedules_;
};

}  // namespace holdfast::probe
