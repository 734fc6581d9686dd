// One server address and everything the threads must know of it now. A Backend is found by (upstream,
// address), outlives snapshots and never points to a config, so counts, health and administrative
// state survive a reload.
//
// Ownership: shared_ptr, from the Registry, from each snapshot's Upstream and from each Seat.
// Threads: setup and pump threads read, pick and drop seats; only the control thread writes health,
// administrative state, membership, weight and max_sessions. Every function may be called in every thread.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/error.hpp"
#include "holdfast/upstream/ejection.hpp"
#include "holdfast/upstream/outcomes.hpp"
#include "holdfast/upstream/state.hpp"

namespace holdfast::upstream {

// What the probes say. unknown = no verdict yet: usable until the first one.
enum class Health : std::uint8_t { unknown, healthy, unhealthy };

// What the operator says. draining and disabled get no new sessions.
enum class AdminState : std::uint8_t { active, draining, disabled };

// Failed tries of real handshakes, and sessions that ended without a Close, as the metric's `kind` names
// them.
enum class FailureKind : std::uint8_t {
  connect,
  tls,
  timeout,
  eof,
  garbage,
  handshake_status,
  lost,
  early_death,  // lost when it had lived less than UpstreamState::early_death_ms
};
inline constexpr std::size_t failure_kinds = 8;

[[nodiscard]] std::string_view text(Health health) noexcept;
[[nodiscard]] std::string_view text(AdminState state) noexcept;
[[nodiscard]] std::string_view text(FailureKind kind) noexcept;

// The kind that a failed dial counts as; nullopt when it is not the backend's fault (our shortage,
// or we gave up ourselves).
[[nodiscard]] std::optional<FailureKind> blame(Failure failure) noexcept;

class Dialling;

class Backend {
 public:
  // `state`: shared by all backends of the upstream (Registry::state); never null.
  Backend(std::shared_ptr<UpstreamState> state, std::string address);
  // On its own: with a state that no other backend shares.
  Backend(std::string upstream, std::string address);
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  [[nodiscard]] const std::string& upstream() const noexcept { return state_->name(); }
  [[nodiscard]] const std::shared_ptr<UpstreamState>& upstream_state() const noexcept { return state_; }
  [[nodiscard]] const std::string& address() const noexcept { return address_; }  // as written in the config

  [[nodiscard]] Health health() const noexcept { return health_.load(std::memory_order_relaxed); }
  [[nodiscard]] AdminState admin_state() const noexcept { return admin_.load(std::memory_order_relaxed); }
  // How often it has become disabled: tells a new order from one that was given before.
  [[nodiscard]] std::uint32_t times_disabled() const noexcept {
    return times_disabled_.load(std::memory_order_relaxed);
  }
  // Among its upstream's backends in the config in force; as before where the upstream itself is not in it.
  [[nodiscard]] bool is_member() const noexcept { return member_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool ejected() const noexcept { return ejected_.load(std::memory_order_relaxed); }
  [[nodiscard]] Ejection ejection() const;  // the present or the latest one
  [[nodiscard]] std::uint64_t ejections(EjectReason reason) const noexcept;
  // Somebody looks after its health.
  [[nodiscard]] bool is_probed() const noexcept { return probed_.load(std::memory_order_relaxed); }
  // healthy (or not yet probed), not ejected, active.
  [[nodiscard]] bool eligible() const noexcept;
  // No seat is to be had: max_sessions reached, or readmitted and its trial is under way (outlier.hpp).
  [[nodiscard]] bool full() const noexcept;

  [[nodiscard]] std::uint32_t sessions() const noexcept { return sessions_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t picks() const noexcept { return picks_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t failures(FailureKind kind) const noexcept;
  [[nodiscard]] std::string last_error() const;  // empty = none yet
  // Sessions that left it by a reroute or a move, and that came to it by one.
  [[nodiscard]] std::uint64_t reroutes_from() const noexcept;
  [[nodiscard]] std::uint64_t reroutes_to() const noexcept;
  // Reroutes' dials under way (see Dialling).
  [[nodiscard]] std::uint32_t dialling() const noexcept { return dialling_.load(std::memory_order_relaxed); }
  // As many as may be, and none of them has ended for a while: it may be hung.
  [[nodiscard]] bool dials_are_stuck(TimePoint now) const noexcept;
  [[nodiscard]] std::uint32_t weight() const noexcept { return weight_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t max_sessions() const noexcept;  // 0 = no limit
  // When its slow start began: it became eligible again, or was added to a running upstream. Never:
  // TimePoint{}.
  [[nodiscard]] TimePoint came_at() const noexcept { return came_at_.load(std::memory_order_relaxed); }

  // Control thread.
  void set_health(Health health, TimePoint now = Clock::now()) noexcept;
  void set_admin_state(AdminState state, TimePoint now = Clock::now()) noexcept;
  void set_probed(bool probed) noexcept { probed_.store(probed, std::memory_order_relaxed); }
  void set_member(bool member) noexcept { member_.store(member, std::memory_order_relaxed); }
  void set_weight(std::uint32_t weight) noexcept;
  void begin_slow_start(TimePoint now) noexcept { came_at_.store(now, std::memory_order_relaxed); }
  // Sessions above a lowered limit stay.
  void set_max_sessions(std::uint64_t sessions) noexcept;

  // Counts it and keeps `what` as last_error. Upstream::failed does this and judges it, too.
  void count_failure(FailureKind kind, std::string what);
  void note_error(std::string what);  // last_error alone

  // A session's leg here: gone without a Close; or it has lived for `early_death`, or was closed before, each
  // once a leg. Only counted: Outlier::collect judges.
  void lost_leg(std::uint32_t lived_ms) noexcept;
  void kept_leg() noexcept { kept_legs_.fetch_add(1, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t kept_legs() const noexcept {
    return kept_legs_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] bool judges_early_deaths() const noexcept { return early_death_ms() != 0; }
  [[nodiscard]] std::uint32_t early_death_ms() const noexcept {
    return state_->early_death_ms.load(std::memory_order_relaxed);
  }
  void count_reroute_from() noexcept { reroutes_from_.fetch_add(1, std::memory_order_relaxed); }
  void count_reroute_to() noexcept { reroutes_to_.fetch_add(1, std::memory_order_relaxed); }

 private:
  friend class Seat;
  friend class Dialling;
  friend std::optional<Dialling> try_dialling(const std::shared_ptr<Backend>& backend,
                                              TimePoint now) noexcept;
  friend class Outlier;

  // After readmission one try at a time, until one succeeds: a backend that takes connections but
  // never answers would else draw every client for a whole handshake timeout, having no sessions.
  enum class Trial : std::uint8_t { none, open, taken };

  // Outlier detection's memory; its mutex guards all of it and every write of ejected_.
  struct Offences {
    enum class Probed : std::uint8_t { not_yet, passed, failed };
    mutable std::mutex mutex;
    std::uint32_t in_a_row = 0;
    std::uint32_t in_a_row_5xx = 0;
    std::uint32_t early_in_a_row = 0;
    TimePoint latest{};                 // failure
    std::optional<TimePoint> crash_at;  // when the latest one began
    std::optional<TimePoint> early_crash_at;
    Outcomes outcomes;
    Ejection ejection;
    std::optional<TimePoint> good_since;  // the first handshake that succeeded since the latest ejection
    std::uint8_t doublings = 0;
    bool quick_return = false;          // it had not been ejected for a while
    bool was_down = false;              // it was ejected for a crash, or a probe has failed since
    std::uint32_t passed_in_a_row = 0;  // probes since the ejection
    Probed probed = Probed::not_yet;    // the latest probe since the ejection
    // What `collect` has seen; the control thread's.
    std::uint64_t seen_lost = 0;
    std::uint64_t seen_early = 0;
    std::uint64_t seen_kept = 0;
  };
  [[nodiscard]] bool has_uncollected_losses() const noexcept;  // control thread

  // To be called with what `eligible` was before a change.
  void note_change(bool was_eligible, TimePoint now) noexcept;

  const std::shared_ptr<UpstreamState> state_;
  const std::string address_;

  // Written by the control thread.
  std::atomic<Health> health_{Health::unknown};
  std::atomic<AdminState> admin_{AdminState::active};
  std::atomic<std::uint32_t> times_disabled_{0};
  std::atomic<bool> member_{true};
  std::atomic<bool> probed_{true};
  std::atomic<std::uint32_t> weight_{1};
  std::atomic<std::uint64_t> max_sessions_{0};
  std::atomic<TimePoint> came_at_{TimePoint{}};

  // Written by setup threads (and by pump threads that drop seats).
  std::atomic<std::uint32_t> sessions_{0};
  std::atomic<std::uint64_t> picks_{0};
  std::atomic<std::uint64_t> reroutes_from_{0};
  std::atomic<std::uint64_t> reroutes_to_{0};
  std::atomic<std::uint32_t> dialling_{0};
  std::atomic<TimePoint> dial_progress_{TimePoint{}};  // when the first one began or the latest one ended
  std::atomic<Trial> trial_{Trial::none};
  std::atomic<bool> ejected_{false};
  std::array<std::atomic<std::uint64_t>, failure_kinds> failures_{};
  std::atomic<std::uint64_t> kept_legs_{0};
  std::array<std::atomic<std::uint64_t>, eject_reason_count> ejections_{};
  Offences offences_;

  mutable std::mutex error_mutex_;
  std::string last_error_;
};

// For the log, of one that has just been ejected: "backend u/a ejected for 30 s (consecutive_failures): …".
[[nodiscard]] std::string ejection_sentence(const Backend& backend, const std::string& why);

// A session's place at a backend, from the pick to the end of the leg: counts up when taken and down
// in the destructor. Moves with the leg from thread to thread; never empty except when moved from.
class Seat {
 public:
  // Counts one pick. nullopt if the backend is full; eligibility is the caller's to judge.
  [[nodiscard]] static std::optional<Seat> take(std::shared_ptr<Backend> backend) noexcept;

  Seat() = default;  // no place
  Seat(Seat&& other) noexcept;
  Seat& operator=(Seat&& other) noexcept;
  ~Seat() { leave(); }

  [[nodiscard]] explicit operator bool() const noexcept { return backend_ != nullptr; }
  [[nodiscard]] Backend& backend() const noexcept { return *backend_; }
  [[nodiscard]] const std::shared_ptr<Backend>& shared_backend() const noexcept { return backend_; }

 private:
  friend class Outlier;
  // A trial seat that goes without success gives the trial to the next client.
  enum class Kind : std::uint8_t { ordinary, trial };

  Seat(std::shared_ptr<Backend> backend, Kind kind) noexcept : backend_(std::move(backend)), kind_(kind) {}
  void leave() noexcept;

  std::shared_ptr<Backend> backend_;
  Kind kind_ = Kind::ordinary;
};

// One reroute's dial, from the pick to the backend's answer: a lost backend's sessions must not fall upon
// another one's listen backlog all at once. Move-only; any thread.
class Dialling {
 public:
  Dialling(Dialling&& other) noexcept = default;
  Dialling& operator=(Dialling&& other) noexcept;
  ~Dialling() { end(); }

 private:
  friend std::optional<Dialling> try_dialling(const std::shared_ptr<Backend>& backend,
                                              TimePoint now) noexcept;
  explicit Dialling(std::shared_ptr<Backend> backend) noexcept : backend_(std::move(backend)) {}
  void end() noexcept;

  std::shared_ptr<Backend> backend_;  // null when moved from
};

// nullopt when UpstreamState::most_connecting are under way.
[[nodiscard]] std::optional<Dialling> try_dialling(const std::shared_ptr<Backend>& backend,
                                                   TimePoint now) noexcept;

}  // namespace holdfast::upstream
