#pragma once
// Owns every cell and turns them into Prometheus text.
//
// Thread: all functions are the control thread's; references it got may be handed to the one
// writing thread they are for. Cells live as long as the registry, so a counter survives a reload
// that removes its route and brings it back; the number of names is what configurations ever had.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "holdfast/metrics/auth_cells.hpp"
#include "holdfast/metrics/cells.hpp"
#include "holdfast/metrics/feed_cells.hpp"

namespace holdfast::metrics {

struct Labelled {
  std::string label;  ///< failure kind or probe result
  std::uint64_t count = 0;
};

/// One backend of the current snapshot at scrape: series of removed backends vanish by not being in
/// the list.
struct BackendSample {
  std::string upstream;
  std::string backend;  ///< the address as written
  std::uint64_t sessions = 0;
  std::uint64_t picks_total = 0;
  double weight = 0;  ///< what of it counts now
  bool up = false;    ///< health: unknown counts as up, since it is used
  bool ejected = false;
  std::string state;                ///< "active", "draining" or "disabled"
  std::vector<Labelled> failures;   ///< by kind
  std::vector<Labelled> probes;     ///< by result
  std::vector<Labelled> ejections;  ///< by reason; those that are zero may be left out
};

/// How an upstream's backends are found.
struct DiscoverySample {
  std::string upstream;
  bool up = false;  ///< it has found some, and the latest try went well
  std::uint64_t backends = 0;
  std::vector<Labelled> updates;  ///< by result
};

/// Reroutes and moves of one upstream that came to one end.
struct RerouteSample {
  std::string upstream;
  std::string_view cause;  ///< of static storage, as `result`
  std::string_view result;
  std::uint64_t count = 0;
};

/// How handshakes of one upstream were placed.
struct BalancingSample {
  std::string upstream;
  std::uint64_t queued = 0;
  std::vector<Labelled> waits;    ///< in the queue that ended, by result; empty = no queue
  std::vector<Labelled> cookies;  ///< by result; empty = no sticky cookie
};

/// What an upstream has to do, and what its circuit breaker refused.
struct CircuitSample {
  std::string upstream;
  std::uint64_t sessions = 0;
  std::uint64_t pending = 0;
  std::vector<Labelled> breaks;  ///< by limit
  std::uint64_t shortages = 0;
};

struct Sample {
  std::uint64_t generation = 0;
  std::vector<BackendSample> backends;
  std::vector<BalancingSample> balancing;
  std::vector<RerouteSample> reroutes;  ///< those that are zero may be left out
  std::vector<DiscoverySample> discoveries;
  std::vector<Labelled> panics;     ///< upstream: 1 = it panics
  std::vector<Labelled> addresses;  ///< of clients, by listener
  std::vector<CircuitSample> circuits;
};

struct BuildInfo {
  std::string version;
  std::string commit;
};

class Registry {
 public:
  /// `sample` is called at each scrape, on the scraping (control) thread.
  Registry(std::size_t setup_threads, std::size_t pump_threads, BuildInfo build,
           std::function<Sample()> sample);
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  /// Made at the first call for a name. Thread indices count from 0 within their plane.
  [[nodiscard]] RouteCells& route(std::size_t pump_thread, std::string_view route);
  [[nodiscard]] ListenerCells& listener(std::size_t setup_thread, std::string_view listener);
  [[nodiscard]] SessionCells& sessions(std::size_t pump_thread, std::string_view listener,
                                       std::string_view route);
  /// Only for routes that have auth.
  [[nodiscard]] AuthCells& auth(std::size_t setup_thread, std::string_view route);
  [[nodiscard]] FeedCells& feed(std::size_t pump_thread, std::string_view feed);
  [[nodiscard]] SourceCells& source(std::string_view feed);
  [[nodiscard]] SetupCells& setup(std::size_t setup_thread);
  [[nodiscard]] PumpCells& pump(std::size_t pump_thread);
  [[nodiscard]] ControlCells& control() noexcept { return control_; }

  /// Open sessions over all threads and routes of a listener (for /status).
  [[nodiscard]] std::uint64_t open_sessions(std::string_view listener) const;

  /// The whole exposition, text format 0.0.4.
  [[nodiscard]] std::string text() const;

 private:
  class Collector;  // the prometheus::Collectable; hides that library from everybody else

  template <class Cells, class Key>
  using PerName = std::map<Key, std::unique_ptr<Cells[]>, std::less<>>;

  std::size_t setup_threads_;
  std::size_t pump_threads_;
  BuildInfo build_;
  std::function<Sample()> sample_;
  PerName<RouteCells, std::string> routes_;
  PerName<ListenerCells, std::string> listeners_;
  PerName<AuthCells, std::string> auths_;
  PerName<SessionCells, std::pair<std::string, std::string>> sessions_;  // listener, route
  PerName<FeedCells, std::string> feeds_;
  std::map<std::string, std::unique_ptr<SourceCells>, std::less<>> sources_;
  std::unique_ptr<SetupCells[]> setup_;
  std::unique_ptr<PumpCells[]> pumps_;
  ControlCells control_;
};

}  // namespace holdfast::metrics
