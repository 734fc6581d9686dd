#include "session/reroute.hpp"

#include <algorithm>
#include <cassert>

namespace holdfast::session {

namespace {
constexpr std::uint32_t first_backoff_ms = 50;
constexpr std::uint32_t longest_backoff_ms = 1'000;
constexpr std::uint32_t longest_spread_ms = 2'000;

// Half of it for sure, the other half by chance, so that sessions that lost one backend together don't come
// back together.
std::uint32_t backoff_ms(std::uint32_t retry, std::uint32_t random) noexcept {
  const std::uint32_t full =
      retry >= 5 ? longest_backoff_ms : std::min(longest_backoff_ms, first_backoff_ms << retry);
  return full / 2 + random % (full / 2 + 1);
}
}  // namespace

Reroute::Past& Reroute::past() {
  if (past_ == nullptr) past_ = std::make_unique<Past>();
  return *past_;
}

const Reroute::Past& Reroute::known() const noexcept {
  static const Past nothing;
  return past_ == nullptr ? nothing : *past_;
}

Reroute::Todo Reroute::ask(Tick now) noexcept {
  past().since = now;
  ++past().number;
  return Todo::ask;
}

Reroute::Todo Reroute::give_up(Reason reason) noexcept {
  state_ = State::over;
  reason_ = reason;
  return Todo::give_up;
}

void Reroute::attach(Tick now) noexcept {
  state_ = State::attached;
  past().since = attached_at_ = now;
  past().disabled = 0;
  lasting_ = false;
  past().retry = 0;
  past().excluded.reset();
  ++past().reroutes;
}

std::uint32_t Reroute::lived_ms(Tick now) const noexcept {
  return lasting_ ? lasting_ms : elapsed_ms(attached_at_, now);
}

// Before they are so old that a Tick can't tell any more.
void Reroute::forget_old_times(Tick now) noexcept {
  if (lived_ms(now) >= lasting_ms) lasting_ = true;
  if (known().early_count > 0 && elapsed_ms(known().early.back(), now) >= early_window_ms)
    past().early_count = 0;
}

bool Reroute::died_too_often(Tick now) noexcept {
  if (lived_ms(now) >= early_ms) return false;
  std::rotate(past().early.begin(), past().early.begin() + 1, past().early.end());
  past().early.back() = now;
  if (past().early_count < early_deaths) ++past().early_count;
  return past().early_count == early_deaths && elapsed_ms(past().early.front(), now) < early_window_ms;
}

Reroute::Todo Reroute::begin_hold(Tick now, Cause cause, const upstream::Backend* backend,
                                  std::uint32_t random, Rules rules) noexcept {
  cause_ = cause;
  past().began = now;
  past().retry = 0;
  past().excluded.reset();
  exclude(backend);
  past().disabled = 0;
  if (past().spent >= rules.attempts) return give_up(Reason::no_backend);
  if (past().spent == 0 || rules.hold_ms == 0) {
    state_ = State::attempting;
    return ask(now);
  }
  // The leg before did not last either: backends that take sessions and let go of them at once are not asked
  // at once.
  state_ = State::held;
  past().since = now;
  past().next_at = now + backoff_ms(past().spent - 1, random);
  return Todo::nothing;
}

// The first leg was no attempt. A leg that we end, or that is lost while it is left, has not failed; nor has
// one whose backend goes after it has worked for a while.
void Reroute::count_leg(Tick now, bool planned, bool said_goodbye) noexcept {
  const std::uint32_t lived = lived_ms(now);
  if (lived >= lasting_ms) {
    past().spent = 0;
  } else if (past().reroutes > 0 && !planned && !(said_goodbye && lived >= early_ms)) {
    ++past().spent;
  }
}

Reroute::Todo Reroute::lost(Tick now, Cause cause, const upstream::Backend* backend, std::uint32_t random,
                            Rules rules) noexcept {
  assert(has_leg());
  const bool said_goodbye = cause == Cause::closing;
  const bool planned = state_ != State::attached || cause == Cause::disabled;
  count_leg(now, planned, said_goodbye);
  if (state_ == State::switching) {
    past().began = now;
    cause_ = cause;
    attach(now);
    return Todo::attach;
  }
  if (state_ == State::moving) {
    past().began = past().since = now;
    cause_ = cause;
    state_ = State::attempting;
    return Todo::nothing;
  }
  // Of a backend that is leaving no death is the session's doing.
  if (!planned && !said_goodbye && died_too_often(now)) {
    past().began = now;
    cause_ = cause;
    return give_up(Reason::kills_backends);
  }
  return begin_hold(now, cause, backend, random, rules);
}

Reroute::Todo Reroute::move_due(Tick now, Cause cause) noexcept {
  if (state_ != State::attached && state_ != State::settling) return Todo::nothing;
  if (state_ == State::attached) past().began = now;
  cause_ = cause;
  past().retry = 0;
  if (urgent()) {
    state_ = State::moving;
    return ask(now);
  }
  if (state_ == State::attached) past().since = now;
  state_ = State::settling;
  return Todo::nothing;
}

Reroute::Todo Reroute::quiet(Tick now) noexcept {
  assert(state_ == State::settling);
  state_ = State::moving;
  return ask(now);
}

void Reroute::found() noexcept {
  assert(state_ == State::moving);
  state_ = State::settling;
  past().since = past().began;
}

Reroute::Todo Reroute::ready(Tick now) noexcept {
  if (state_ == State::attempting) {
    attach(now);
    return Todo::attach;
  }
  assert(state_ == State::moving);
  state_ = State::switching;
  past().since = now;
  return Todo::switch_over;
}

void Reroute::exclude(const upstream::Backend* backend) noexcept {
  if (backend == nullptr) return;
  if (past().excluded == nullptr) past().excluded = std::make_unique<Excluded>();
  std::rotate(past().excluded->begin(), past().excluded->end() - 1, past().excluded->end());
  past().excluded->front() = backend;
}

Reroute::Todo Reroute::failed(Tick now, AttemptResult result, const upstream::Backend* tried,
                              std::uint32_t random, Rules rules) noexcept {
  if (state_ == State::moving || state_ == State::switching) {
    // Those that did not fit before are asked again when there are no others.
    if (result == AttemptResult::nobody && past().excluded != nullptr) {
      past().excluded.reset();
      return ask(now);
    }
    exclude(tried);
    state_ = State::attached;
    past().since = now;
    return Todo::stay;
  }
  assert(state_ == State::attempting);
  if (result == AttemptResult::refused) return give_up(Reason::reroute_refused);
  if (result == AttemptResult::gone) return give_up(Reason::no_backend);
  if (result == AttemptResult::misfit) ++past().spent;
  if (past().spent >= rules.attempts || elapsed_ms(past().began, now) >= rules.hold_ms)
    return give_up(Reason::no_backend);
  // Another backend at once, and when there is no other, those that were left out; the same ones again only
  // after a while.
  const bool left_out = result == AttemptResult::nobody && past().excluded != nullptr;
  if (left_out) past().excluded.reset();
  exclude(tried);
  const bool others = left_out || (tried != nullptr && past().retry < 2);
  std::uint32_t wait = others ? random % first_backoff_ms : backoff_ms(past().retry, random);
  // A backend that answers 503 while it warms up: the attempts that are left must last for a while.
  if (!others && result == AttemptResult::misfit) {
    const std::uint32_t share =
        remaining_ms(past().began, rules.hold_ms, now) / (rules.attempts - past().spent + 1);
    wait = std::max(wait, std::min(share, longest_spread_ms));
  }
  past().next_at = now + wait;
  ++past().retry;
  state_ = State::held;
  past().since = now;
  return Todo::nothing;
}

bool Reroute::call_off(Tick now) noexcept {
  if (state_ != State::settling && state_ != State::moving && state_ != State::switching) return false;
  state_ = State::attached;
  past().since = now;
  return true;
}

void Reroute::disabled(Tick now, std::uint32_t nth) noexcept {
  if (known().disabled == nth) return;
  past().disabled = nth;
  past().disabled_since = now;
}

void Reroute::switched(Tick now) noexcept {
  assert(state_ == State::switching);
  const Cause cause = cause_;
  attach(now);
  cause_ = cause;
  state_ = State::handing_over;
}

void Reroute::more_time(Tick now) noexcept {
  assert(state_ == State::handing_over);
  past().since = now;
}

void Reroute::former_done(Tick now) noexcept {
  assert(state_ == State::handing_over);
  state_ = State::attached;
  past().since = now;
}

// An unhealthy backend is not waited for as long as one that works: its client would wait, too.
std::uint32_t Reroute::handing_over_ms(Rules rules) const noexcept {
  return cause_ == Cause::unhealthy ? std::min(rules.close_timeout_ms, unhealthy_words_ms)
                                    : rules.close_timeout_ms;
}

Reroute::Todo Reroute::tick(Tick now, Rules rules) noexcept {
  forget_old_times(now);
  if (known().disabled != 0 && has_leg() && elapsed_ms(known().disabled_since, now) >= disabled_ms)
    return Todo::lose;
  switch (state_) {
    case State::held:
      if (elapsed_ms(known().began, now) >= rules.hold_ms) return give_up(Reason::no_backend);
      if (static_cast<std::int32_t>(known().next_at - now) > 0) return Todo::nothing;
      state_ = State::attempting;
      return ask(now);
    case State::attempting:
      return elapsed_ms(known().began, now) >= rules.attempt_ms() ? give_up(Reason::no_backend)
                                                                  : Todo::nothing;
    case State::switching:
      if (elapsed_ms(known().since, now) < longest_switching_ms) return Todo::nothing;
      state_ = State::attached;
      past().since = now;
      return Todo::stay;
    case State::handing_over:
      return elapsed_ms(known().since, now) >= handing_over_ms(rules) ? Todo::hand_over : Todo::nothing;
    case State::attached:
    case State::settling:
    case State::moving:
    case State::over:
      break;
  }
  return Todo::nothing;
}

bool Reroute::close() noexcept {
  const bool asked = attempt_under_way();
  state_ = State::over;
  return asked;
}

std::uint32_t Reroute::patience_ms(Tick now, Rules rules) const noexcept {
  return state_ == State::attempting ? remaining_ms(known().began, rules.attempt_ms(), now)
                                     : std::max(rules.hold_ms, least_attempt_ms);
}

std::uint32_t Reroute::next_ms(Tick now, std::uint32_t limit_ms, Rules rules) const noexcept {
  std::uint32_t wait = limit_ms;
  if (known().disabled != 0 && has_leg())
    wait = std::min(wait, remaining_ms(known().disabled_since, disabled_ms, now));
  switch (state_) {
    case State::held:
      wait = std::min(wait, static_cast<std::int32_t>(known().next_at - now) > 0 ? known().next_at - now : 0);
      return std::min(wait, remaining_ms(known().began, rules.hold_ms, now));
    case State::attempting:
      return std::min(wait, remaining_ms(known().began, rules.attempt_ms(), now));
    case State::switching:
      return std::min(wait, remaining_ms(known().since, longest_switching_ms, now));
    case State::handing_over:
      return std::min(wait, remaining_ms(known().since, handing_over_ms(rules), now));
    case State::attached:
    case State::settling:
    case State::moving:
    case State::over:
      break;
  }
  return wait;
}

void Reroute::check_invariants() const noexcept {
  assert((reason_ == Reason::none) || state_ == State::over);
  assert(known().retry == 0 || state_ == State::held || state_ == State::attempting || state_ == State::over);
  assert(known().number >= known().reroutes);
}

}  // namespace holdfast::session
