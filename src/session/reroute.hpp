#pragma once
// When a session asks for another backend leg and what becomes of the answer: the state machine of rerouting
// and moving (SESSIONS.md, drawn in LIFECYCLE.md). Sans-io: events in, what to do out; time and chance come
// in as arguments. No clock, no socket.
//
//   attached ──lost──► attempting ◄──backoff── held          attached ──move_due──► settling ──quiet──►
//   moving
//       ▲                 │  ▲──────failed──────▲                 ▲                              failed │ │
//       ready └──────ready──────┘                     │ ├──────────────────────────────────────┘ ▼
//                                  hold over: over                └──former_done── handing_over ◄──switched──
//                                  switching
//
// From attached to handing_over `disabled` may run: the present backend's sessions have 5 s to leave, or lose
// it.
//
// Losing the leg while a move is under way makes it a reroute: settling → attempting (asks), moving →
// attempting (the attempt under way goes on), switching → attached (the new leg is at hand).
//
// Thread: its session's.

#include <array>
#include <cstdint>
#include <memory>

#include "holdfast/base/cause.hpp"
#include "holdfast/base/clock.hpp"
#include "holdfast/session/attempt.hpp"

namespace holdfast::session {

class Reroute {
 public:
  enum class State : std::uint8_t {
    attached,      ///< one leg, nothing planned
    settling,      ///< a move is due: waits for a quiet point
    moving,        ///< the old leg works, an attempt is under way
    switching,     ///< the new leg is ready: waits for a message boundary
    handing_over,  ///< the new leg is written to, the old one's last words go to the client
    held,          ///< no leg; waits for the moment of the next attempt
    attempting,    ///< no leg; an attempt is under way
    over,          ///< given up, or the session is closing
  };
  /// What the session has to do now.
  enum class Todo : std::uint8_t {
    nothing,
    ask,          ///< send an attempt with number(), retry(), excluded()
    attach,       ///< the new leg takes the place of the lost one
    switch_over,  ///< at the next message boundary the new leg takes the old one's place
    stay,         ///< the move is off: a new leg, if there is one, is let go
    hand_over,    ///< the old leg has had its time: the new one feeds the client
    lose,         ///< a `disabled` backend's time is over: treat the leg as lost, or end the hand-over to it
    give_up,      ///< end the session for reason()
  };
  struct Rules {
    std::uint32_t hold_ms = 10'000;
    std::uint32_t attempts = 5;
    std::uint32_t close_timeout_ms = 5'000;
    /// With `hold` 0 nobody is waited for, but who is there is tried once.
    [[nodiscard]] std::uint32_t attempt_ms() const noexcept {
      return hold_ms == 0 ? least_attempt_ms : hold_ms;
    }
  };

  static constexpr std::uint32_t least_attempt_ms = 1'000;
  static constexpr std::uint32_t lasting_ms = 10'000;  ///< a leg that lived so long has proved itself
  static constexpr std::uint32_t early_ms = 2'000;     ///< one that died sooner may have been killed by us
  static constexpr std::uint32_t early_window_ms = 60'000;
  static constexpr std::size_t early_deaths = 3;
  static constexpr std::uint32_t longest_settling_ms = 5'000;
  static constexpr std::uint32_t longest_switching_ms = 5'000;
  static constexpr std::uint32_t disabled_ms = 5'000;  ///< a disabled backend's sessions have so long to move
  static constexpr std::uint32_t unhealthy_words_ms = 1'000;  ///< what an unhealthy backend may still say

  explicit Reroute(Tick now) noexcept : attached_at_(now) {}

  // --- events ---
  /// The leg to `backend` is dead, or (`closing`) has told that it is going. Not in held, attempting, over.
  /// Others are asked first: at once, or after a backoff when the leg before did not last either.
  [[nodiscard]] Todo lost(Tick now, Cause cause, const upstream::Backend* backend, std::uint32_t random,
                          Rules rules) noexcept;
  /// A move is wanted; nothing if one is under way or there is no leg. A more urgent cause replaces a waiting
  /// one.
  [[nodiscard]] Todo move_due(Tick now, Cause cause) noexcept;
  /// settling only: a quiet point, or a message boundary after `settled_long_enough`.
  [[nodiscard]] Todo quiet(Tick now) noexcept;
  /// moving: there is a backend that would take it. Back to settling, which goes on as it had begun.
  void found() noexcept;
  [[nodiscard]] Todo ready(Tick now) noexcept;
  /// The attempt, or (switching) the leg it brought, before it was used. `random` spreads the backoff.
  [[nodiscard]] Todo failed(Tick now, AttemptResult result, const upstream::Backend* tried,
                            std::uint32_t random, Rules rules) noexcept;
  /// A move that has not switched is off; an answer to its attempt is stale. False if there is none.
  [[nodiscard]] bool call_off(Tick now) noexcept;
  /// The present backend is disabled, for the `nth` time: `disabled_ms` from the first such call on, it is
  /// lost.
  void disabled(Tick now, std::uint32_t nth) noexcept;
  void not_disabled() noexcept {
    if (past_ != nullptr) past_->disabled = 0;
  }
  void switched(Tick now) noexcept;
  /// handing_over: the old leg's time begins anew.
  void more_time(Tick now) noexcept;
  void former_done(Tick now) noexcept;
  [[nodiscard]] Todo tick(Tick now, Rules rules) noexcept;
  /// The session ends: nothing is asked any more. True if an attempt was under way.
  bool close() noexcept;

  // --- what the session asks ---
  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] Cause cause() const noexcept { return cause_; }
  [[nodiscard]] bool has_leg() const noexcept { return state_ <= State::handing_over; }
  [[nodiscard]] bool attempt_under_way() const noexcept {
    return state_ == State::moving || state_ == State::attempting;
  }
  /// A move without waiting for a quiet point: the old leg is suspect or must go.
  [[nodiscard]] bool urgent() const noexcept { return urgency(cause_) >= urgency(Cause::unhealthy); }
  /// From the move's beginning until its new leg is written to.
  [[nodiscard]] bool is_leaving() const noexcept {
    return state_ >= State::settling && state_ <= State::switching;
  }
  [[nodiscard]] bool settled_long_enough(Tick now) const noexcept {
    return elapsed_ms(known().since, now) >= longest_settling_ms;
  }
  [[nodiscard]] std::uint32_t number() const noexcept { return known().number; }
  [[nodiscard]] std::uint32_t retry() const noexcept { return known().retry; }
  [[nodiscard]] std::uint32_t reroutes() const noexcept { return known().reroutes; }
  /// When the leg was lost or the move began.
  [[nodiscard]] Tick began() const noexcept { return known().began; }
  [[nodiscard]] Reason reason() const noexcept { return reason_; }
  using Excluded = std::array<const upstream::Backend*, Attempt::most_excluded>;
  [[nodiscard]] Excluded excluded() const noexcept {
    return known().excluded == nullptr ? Excluded{} : *known().excluded;
  }
  /// The latest moment at which an answer is of use, from now in ms.
  [[nodiscard]] std::uint32_t patience_ms(Tick now, Rules rules) const noexcept;
  /// Milliseconds until `tick` has something to do, at most `limit_ms`.
  [[nodiscard]] std::uint32_t next_ms(Tick now, std::uint32_t limit_ms, Rules rules) const noexcept;
  void check_invariants() const noexcept;

 private:
  [[nodiscard]] Todo begin_hold(Tick now, Cause cause, const upstream::Backend* backend, std::uint32_t random,
                                Rules rules) noexcept;
  void count_leg(Tick now, bool planned, bool said_goodbye) noexcept;
  [[nodiscard]] Todo ask(Tick now) noexcept;
  [[nodiscard]] Todo give_up(Reason reason) noexcept;
  void attach(Tick now) noexcept;
  [[nodiscard]] bool died_too_often(Tick now) noexcept;
  [[nodiscard]] std::uint32_t lived_ms(Tick now) const noexcept;
  void forget_old_times(Tick now) noexcept;
  void exclude(const upstream::Backend* backend) noexcept;
  [[nodiscard]] std::uint32_t handing_over_ms(Rules rules) const noexcept;

  /// What only a session needs that has had to do with another leg, or with a disabled backend.
  struct Past {
    std::uint8_t early_count = 0;
    std::uint16_t retry = 0;
    std::uint16_t spent = 0;     ///< answers in a row that did not fit, and legs that did not last
    std::uint32_t disabled = 0;  ///< the backend is, for that time, since `disabled_since`; 0 = it isn't
    Tick since = 0;              ///< of the present state
    Tick began = 0;              ///< of the hold or the move
    Tick next_at = 0;            ///< held: of the next attempt
    Tick disabled_since = 0;
    std::array<Tick, early_deaths> early{};
    std::uint32_t number = 0;
    std::uint32_t reroutes = 0;
    std::unique_ptr<Excluded> excluded;  ///< null = none
  };
  [[nodiscard]] Past& past();  ///< makes one where there is none
  [[nodiscard]] const Past& known() const noexcept;

  std::unique_ptr<Past> past_;  ///< null: nothing has happened
  Tick attached_at_;
  State state_ = State::attached;
  Cause cause_ = Cause::lost;
  Reason reason_ = Reason::none;
  bool lasting_ = false;  ///< the leg has proved itself
};
static_assert(sizeof(Reroute) <= 16, "every session has one");

}  // namespace holdfast::session
