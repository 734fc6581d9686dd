#pragma once
// Who tells the shards that sessions are to leave a backend: because of its health, by the operator, after a
// reload, or to even out. Whether a session can go, and where to, is judged by the session and by the pick.
//
// Sans-io: time comes in as an argument. Thread: the control thread's.

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "holdfast/base/cause.hpp"
#include "holdfast/base/clock.hpp"
#include "holdfast/dial/dial.hpp"

namespace holdfast::server {

class Movements {
 public:
  using Destinations = std::vector<std::shared_ptr<const dial::Destination>>;
  static constexpr std::uint64_t everybody = std::numeric_limits<std::uint64_t>::max();
  using Backends = std::vector<std::shared_ptr<upstream::Backend>>;
  /// Tells all shards together to move `most` sessions of these backends. One order for many of them: each
  /// makes a shard look at all its sessions.
  using Tell = std::function<void(const Backends& from, Cause cause, std::uint64_t most)>;

  static constexpr std::chrono::seconds look_period{1};
  /// Percent over the mean that a rebalance on request leaves alone, when the config says 0.
  static constexpr std::uint32_t threshold_on_request = 10;

  explicit Movements(Tell tell) : tell_(std::move(tell)) {}

  /// A snapshot is in force: sessions of backends that it took from an upstream that stays are to move.
  void apply(const Destinations& destinations, TimePoint now);

  /// Its health or its administrative state says that its sessions should go.
  void leaves(const std::shared_ptr<upstream::Backend>& backend, Cause cause);
  /// It takes sessions (again). At the next look, those that found nobody else before get another chance, and
  /// sessions are evened out, if the upstream wants that.
  void comes(const upstream::Backend& backend) { refreshed_.insert(backend.upstream()); }

  struct Excess {
    std::string backend;  ///< address
    std::uint64_t sessions = 0;
  };
  /// On request: how many sessions each backend of the upstream will give away, in the order of the config.
  /// Nothing if there is no such upstream.
  [[nodiscard]] std::optional<std::vector<Excess>> rebalance(const std::string& upstream, TimePoint now);

  /// Often; looks once in `look_period`.
  void tick(TimePoint now);

 private:
  /// A backend that a reload took away. Handshakes that began before may still bring sessions, and some
  /// find no boundary at first: it is told again, ever more seldom, until none is left. Meanwhile, and for a
  /// minute at least, a reload that brings it back finds its counts and states.
  struct Removed {
    std::shared_ptr<upstream::Backend> backend;
    TimePoint since;
    std::chrono::seconds wait;
    TimePoint again_at;
  };
  /// What a backend was last asked for. A move ends when the old leg has gone, so sessions are counted twice
  /// for a while: no further order before they are fewer, or it has taken too long.
  struct Order {
    std::uint64_t until_sessions = 0;
    std::uint64_t rerouted_before = 0;
    TimePoint given_up_at;
  };
  struct Evening {
    std::uint32_t threshold = 0;
    TimePoint progress_at;  ///< when sessions were last seen to go
    std::map<const upstream::Backend*, Order> orders;
  };

  using Present = std::unordered_set<const upstream::Backend*>;
  using Orders = std::map<Cause, Backends>;

  [[nodiscard]] const dial::Destination* find(const std::string& upstream) const;
  void forget_present(const Present& present);
  void remove_missing(const Destinations& before, const Present& present, TimePoint now);
  void refresh(const dial::Destination& destination, TimePoint now, Orders& orders);
  void tell_removed(TimePoint now);
  /// False when there is nothing more to do.
  [[nodiscard]] bool even_out(const dial::Destination& destination, Evening& evening, TimePoint now);
  /// Whether the backend may be given another order.
  [[nodiscard]] static bool is_free(const upstream::Backend& backend, Evening& evening, TimePoint now);

  Tell tell_;
  Destinations destinations_;
  std::unordered_map<std::string, const dial::Destination*> by_name_;  ///< the same
  std::set<std::string> refreshed_;  ///< upstreams whose members can take more than at the last look
  std::vector<Removed> removed_;
  std::map<std::string, Evening> evenings_;  ///< by upstream
  TimePoint look_at_{};
};

}  // namespace holdfast::server
