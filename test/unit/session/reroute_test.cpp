#include "session/reroute.hpp"

#include <doctest/doctest.h>

namespace holdfast::session {
namespace {

using State = Reroute::State;
using Todo = Reroute::Todo;
constexpr Reroute::Rules rules{10'000, 5, 5'000};
constexpr Tick start = 1'000'000;
const upstream::Backend* const backend_a = reinterpret_cast<const upstream::Backend*>(0x10);
const upstream::Backend* const backend_b = reinterpret_cast<const upstream::Backend*>(0x20);

// A session whose first leg has lasted.
struct Old {
  Reroute reroute{start};
  Tick now = start + 20'000;
};

TEST_CASE("a lost leg asks at once and the answer attaches") {
  Old old;
  CHECK(old.reroute.lost(old.now, Cause::lost, backend_b, 0, rules) == Todo::ask);
  CHECK(old.reroute.state() == State::attempting);
  CHECK(old.reroute.number() == 1);
  CHECK(old.reroute.ready(old.now + 5) == Todo::attach);
  CHECK(old.reroute.state() == State::attached);
  CHECK(old.reroute.reroutes() == 1);
}

TEST_CASE("after a failed attempt the next one waits, later each time, and excludes who failed") {
  Old old;
  CHECK(old.reroute.lost(old.now, Cause::lost, backend_b, 0, rules) == Todo::ask);
  Tick now = old.now;
  std::uint32_t least = 0;
  for (std::uint32_t n = 0; n < 6; ++n) {
    CHECK(old.reroute.failed(now, AttemptResult::no_way, n == 0 ? backend_a : nullptr, 0, rules) ==
          Todo::nothing);
    CHECK(old.reroute.state() == State::held);
    if (n == 0) CHECK(old.reroute.excluded()[0] == backend_a);
    if (n == 0) CHECK(old.reroute.excluded()[1] == backend_b);  // whose leg was lost
    const std::uint32_t wait = old.reroute.next_ms(now, 60'000, rules);
    CHECK(wait >= least);
    least = wait;
    CHECK(wait <= 1'000);
    now += wait;
    CHECK(old.reroute.tick(now, rules) == Todo::ask);
  }
}

TEST_CASE("a move can be called off until it has switched") {
  Old old;
  CHECK_FALSE(old.reroute.call_off(old.now));
  for (int steps = 0; steps < 3; ++steps) {
    (void)old.reroute.move_due(old.now, Cause::draining);
    if (steps > 0) CHECK(old.reroute.quiet(old.now) == Todo::ask);
    if (steps > 1) CHECK(old.reroute.ready(old.now) == Todo::switch_over);
    CHECK(old.reroute.call_off(old.now));
    CHECK(old.reroute.state() == State::attached);
    CHECK_FALSE(old.reroute.attempt_under_way());
  }
}

TEST_CASE("when nobody else is left the excluded ones are tried again") {
  Old old;
  (void)old.reroute.lost(old.now, Cause::lost, backend_b, 0, rules);
  (void)old.reroute.failed(old.now, AttemptResult::no_way, backend_a, 7, rules);
  (void)old.reroute.tick(old.now + 1'000, rules);
  (void)old.reroute.failed(old.now + 1'000, AttemptResult::nobody, nullptr, 7, rules);
  CHECK(old.reroute.excluded()[0] == nullptr);
}

TEST_CASE("hold is the longest that a client waits, whatever is under way") {
  Old old;
  (void)old.reroute.lost(old.now, Cause::lost, backend_b, 0, rules);
  CHECK(old.reroute.tick(old.now + 9'999, rules) == Todo::nothing);
  CHECK(old.reroute.tick(old.now + 10'000, rules) == Todo::give_up);
  CHECK(old.reroute.reason() == Reason::no_backend);
  Old held;
  (void)held.reroute.lost(held.now, Cause::lost, backend_b, 0, rules);
  (void)held.reroute.failed(held.now + 9'990, AttemptResult::nobody, nullptr, 3, rules);
  CHECK(held.reroute.tick(held.now + 10'000, rules) == Todo::give_up);
}

TEST_CASE("hold 0: who is there is tried once, and nobody is waited for") {
  const Reroute::Rules none{0, 5, 5'000};
  Old old;
  CHECK(old.reroute.lost(old.now, Cause::lost, backend_b, 0, none) == Todo::ask);
  CHECK(old.reroute.patience_ms(old.now, none) == Reroute::least_attempt_ms);
  CHECK(old.reroute.tick(old.now + 900, none) == Todo::nothing);
  SUBCASE("it is there") {
    CHECK(old.reroute.ready(old.now + 900) == Todo::attach);
  }
  SUBCASE("it is not") {
    CHECK(old.reroute.failed(old.now, AttemptResult::no_way, backend_a, 0, none) == Todo::give_up);
  }
  SUBCASE("it is mute") {
    CHECK(old.reroute.tick(old.now + 1'000, none) == Todo::give_up);
  }
}

TEST_CASE("nobody eligible and backends that can't be reached use up no attempts") {
  Old old;
  const Reroute::Rules patient{600'000, 2, 5'000};
  (void)old.reroute.lost(old.now, Cause::lost, backend_b, 0, patient);
  Tick now = old.now;
  for (int n = 0; n < 20; ++n) {
    const auto result = n % 2 == 0 ? AttemptResult::nobody : AttemptResult::no_way;
    REQUIRE(old.reroute.failed(now, result, nullptr, 0, patient) == Todo::nothing);
    now += 2'000;
    REQUIRE(old.reroute.tick(now, patient) == Todo::ask);
  }
}

TEST_CASE("answers that don't fit use up the attempts, a refusal ends it at once") {
  Old old;
  const Reroute::Rules two{10'000, 2, 5'000};
  (void)old.reroute.lost(old.now, Cause::lost, backend_b, 0, two);
  CHECK(old.reroute.failed(old.now, AttemptResult::misfit, backend_a, 0, two) == Todo::nothing);
  CHECK(old.reroute.tick(old.now + 100, two) == Todo::ask);
  CHECK(old.reroute.failed(old.now + 100, AttemptResult::misfit, backend_b, 0, two) == Todo::give_up);
  CHECK(old.reroute.reason() == Reason::no_backend);
  Old refused;
  (void)refused.reroute.lost(refused.now, Cause::lost, backend_b, 0, rules);
  CHECK(refused.reroute.failed(refused.now, AttemptResult::refused, backend_a, 0, rules) == Todo::give_up);
  CHECK(refused.reroute.reason() == Reason::reroute_refused);
}

// Story: the only backend answered 503 for its first two seconds; the attempts were used up before.
TEST_CASE("attempts that don't fit last for some seconds when there is nobody else") {
  for (const std::uint32_t random : {0U, 12'345U, 0xffff'ffffU}) {
    Old old;
    CHECK(old.reroute.lost(old.now, Cause::lost, backend_a, random, rules) == Todo::ask);
    Tick now = old.now;
    std::uint32_t failures = 1;
    while (old.reroute.failed(now, AttemptResult::misfit, backend_a, random, rules) != Todo::give_up) {
      ++failures;
      while (old.reroute.tick(now, rules) != Todo::ask) ++now;
      REQUIRE(old.reroute.state() == State::attempting);
    }
    CHECK(failures == rules.attempts);
    CHECK(now - old.now >= 4'000);
    CHECK(now - old.now < rules.hold_ms);
  }
}

TEST_CASE("attempts count again from zero once a leg has lived ten seconds") {
  Old old;
  const Reroute::Rules two{10'000, 2, 5'000};
  Tick now = old.now;
  for (int n = 0; n < 6; ++n) {
    REQUIRE(old.reroute.lost(now, Cause::lost, backend_b, 0, two) == Todo::ask);
    REQUIRE(old.reroute.ready(now) == Todo::attach);
    now += Reroute::lasting_ms;
  }
  now -= Reroute::lasting_ms;  // the latest leg has lived for nothing yet
  (void)old.reroute.lost(now + 5'000, Cause::lost, backend_b, 0, two);
  (void)old.reroute.tick(now + 6'000, two);
  (void)old.reroute.ready(now + 6'000);
  CHECK(old.reroute.lost(now + 11'000, Cause::lost, backend_b, 0, two) == Todo::give_up);
}

TEST_CASE(
    "backends that take the session and say goodbye at once are asked later each time, and not for ever") {
  Old old;
  Tick now = old.now;
  REQUIRE(old.reroute.lost(now, Cause::closing, backend_b, 0, rules) == Todo::ask);  // it had lasted
  std::uint32_t least = 25;
  for (std::uint32_t n = 1; n < rules.attempts; ++n) {
    REQUIRE(old.reroute.ready(now) == Todo::attach);
    REQUIRE(old.reroute.lost(now, Cause::closing, backend_b, 0, rules) == Todo::nothing);
    const std::uint32_t wait = old.reroute.next_ms(now, 60'000, rules);
    CHECK(wait >= least);
    least = 2 * wait;
    CHECK(old.reroute.tick(now + wait - 1, rules) == Todo::nothing);
    now += wait;
    REQUIRE(old.reroute.tick(now, rules) == Todo::ask);
  }
  REQUIRE(old.reroute.ready(now) == Todo::attach);
  CHECK(old.reroute.lost(now, Cause::closing, backend_b, 0, rules) == Todo::give_up);
  CHECK(old.reroute.reason() == Reason::no_backend);
}

TEST_CASE("legs that we end use up no attempts: break_first moves one after another") {
  Old old;
  Tick now = old.now;
  for (int n = 0; n < 20; ++n) {
    REQUIRE(old.reroute.move_due(now, Cause::requested) == Todo::nothing);
    REQUIRE(old.reroute.lost(now, Cause::requested, backend_b, 0, rules) == Todo::ask);
    REQUIRE(old.reroute.ready(now) == Todo::attach);
    now += 800;
  }
}

TEST_CASE("a session whose legs die early three times within a minute kills backends") {
  Old old;
  const Reroute::Rules many{10'000, 100, 5'000};
  Tick now = old.now;
  REQUIRE(old.reroute.lost(now, Cause::lost, backend_b, 0, many) == Todo::ask);  // the first leg was old
  for (int n = 0; n < 2; ++n) {
    REQUIRE(old.reroute.ready(now) == Todo::attach);
    now += 500;
    REQUIRE(old.reroute.lost(now, Cause::lost, backend_b, 0, many) == Todo::nothing);
    now += 500;
    REQUIRE(old.reroute.tick(now, many) == Todo::ask);
  }
  REQUIRE(old.reroute.ready(now) == Todo::attach);
  CHECK(old.reroute.lost(now + 500, Cause::lost, backend_b, 0, many) == Todo::give_up);
  CHECK(old.reroute.reason() == Reason::kills_backends);
}

TEST_CASE("early deaths a minute apart are bad luck") {
  Old old;
  const Reroute::Rules many{10'000, 100, 5'000};
  Tick now = old.now;
  for (int n = 0; n < 8; ++n) {
    REQUIRE(old.reroute.lost(now, Cause::lost, backend_b, 0, many) != Todo::give_up);
    now += 1'000;
    (void)old.reroute.tick(now, many);
    now += 30'000;
    REQUIRE(old.reroute.ready(now) == Todo::attach);
    now += 100;
  }
}

TEST_CASE("a planned move waits for a quiet point, asks, switches and hands over") {
  Old old;
  CHECK(old.reroute.move_due(old.now, Cause::draining) == Todo::nothing);
  CHECK(old.reroute.state() == State::settling);
  CHECK_FALSE(old.reroute.settled_long_enough(old.now + 4'999));
  CHECK(old.reroute.settled_long_enough(old.now + 5'000));
  CHECK(old.reroute.quiet(old.now + 50) == Todo::ask);
  CHECK(old.reroute.ready(old.now + 60) == Todo::switch_over);
  CHECK(old.reroute.state() == State::switching);
  old.reroute.switched(old.now + 61);
  CHECK(old.reroute.state() == State::handing_over);
  CHECK(old.reroute.has_leg());
  CHECK(old.reroute.tick(old.now + 5'060, rules) == Todo::nothing);
  CHECK(old.reroute.tick(old.now + 5'061, rules) == Todo::hand_over);
  old.reroute.former_done(old.now + 5'061);
  CHECK(old.reroute.state() == State::attached);
  CHECK(old.reroute.cause() == Cause::draining);
}

TEST_CASE("an unhealthy backend's session asks without waiting, and waits less for its last words") {
  Old old;
  CHECK(old.reroute.move_due(old.now, Cause::unhealthy) == Todo::ask);
  (void)old.reroute.ready(old.now);
  old.reroute.switched(old.now);
  CHECK(old.reroute.tick(old.now + Reroute::unhealthy_words_ms, rules) == Todo::hand_over);
}

TEST_CASE("a move that finds nobody leaves the old leg alone") {
  Old old;
  (void)old.reroute.move_due(old.now, Cause::disabled);
  CHECK(old.reroute.failed(old.now, AttemptResult::nobody, nullptr, 0, rules) == Todo::stay);
  CHECK(old.reroute.state() == State::attached);
  CHECK(old.reroute.reroutes() == 0);
}

// Story: a backend that refused moves and had the fewest sessions was asked again and again, and nobody else.
TEST_CASE("a move asks others than the one before did, and those again when there are no others") {
  Old old;
  (void)old.reroute.move_due(old.now, Cause::unhealthy);
  CHECK(old.reroute.failed(old.now, AttemptResult::misfit, backend_a, 0, rules) == Todo::stay);
  (void)old.reroute.move_due(old.now + 2'000, Cause::unhealthy);
  CHECK(old.reroute.excluded()[0] == backend_a);
  CHECK(old.reroute.failed(old.now + 2'000, AttemptResult::misfit, backend_b, 0, rules) == Todo::stay);
  (void)old.reroute.move_due(old.now + 4'000, Cause::unhealthy);
  CHECK(old.reroute.excluded()[0] == backend_b);
  CHECK(old.reroute.excluded()[1] == backend_a);
  CHECK(old.reroute.failed(old.now + 4'001, AttemptResult::nobody, nullptr, 0, rules) == Todo::ask);
  CHECK(old.reroute.excluded()[0] == nullptr);
  CHECK(old.reroute.failed(old.now + 4'002, AttemptResult::nobody, nullptr, 0, rules) == Todo::stay);
}

TEST_CASE("looking whether there is a place takes nothing from the time to settle") {
  Old old;
  CHECK(old.reroute.move_due(old.now, Cause::draining) == Todo::nothing);
  CHECK(old.reroute.quiet(old.now + 4'000) == Todo::ask);
  old.reroute.found();
  CHECK(old.reroute.state() == State::settling);
  CHECK_FALSE(old.reroute.settled_long_enough(old.now + 4'999));
  CHECK(old.reroute.settled_long_enough(old.now + 5'000));
}

// Story: after 24 days a Tick is older than nothing any more.
TEST_CASE("a leg that has lasted is old for good") {
  Old old;
  CHECK(old.reroute.tick(old.now, rules) == Todo::nothing);
  const Tick later = old.now + (1U << 31U) + 5'000;
  for (unsigned n = 0; n < 3; ++n) {
    CHECK(old.reroute.lost(later + n, Cause::lost, backend_a, 0, rules) != Todo::give_up);
    if (n == 0) CHECK(old.reroute.state() == State::attempting);
    if (old.reroute.state() == State::held) (void)old.reroute.tick(later + 1'000, rules);
    (void)old.reroute.ready(later + n);
  }
}

TEST_CASE("no message boundary for five seconds: the new leg is let go, the old one stays") {
  Old old;
  (void)old.reroute.move_due(old.now, Cause::rebalance);
  (void)old.reroute.quiet(old.now);
  (void)old.reroute.ready(old.now);
  CHECK(old.reroute.tick(old.now + 4'999, rules) == Todo::nothing);
  CHECK(old.reroute.tick(old.now + 5'000, rules) == Todo::stay);
  CHECK(old.reroute.state() == State::attached);
}

TEST_CASE("losing the leg in the middle of a move makes it a reroute") {
  SUBCASE("while it waits for a quiet point") {
    Old old;
    (void)old.reroute.move_due(old.now, Cause::draining);
    CHECK(old.reroute.lost(old.now + 1, Cause::lost, backend_b, 0, rules) == Todo::ask);
    CHECK(old.reroute.state() == State::attempting);
  }
  SUBCASE("while the attempt is under way: that one goes on") {
    Old old;
    (void)old.reroute.move_due(old.now, Cause::unhealthy);
    const auto number = old.reroute.number();
    CHECK(old.reroute.lost(old.now + 1, Cause::lost, backend_b, 0, rules) == Todo::nothing);
    CHECK(old.reroute.number() == number);
    CHECK(old.reroute.ready(old.now + 2) == Todo::attach);
  }
  SUBCASE("when the new leg is ready: it is there at once") {
    Old old;
    (void)old.reroute.move_due(old.now, Cause::unhealthy);
    (void)old.reroute.ready(old.now + 1);
    CHECK(old.reroute.lost(old.now + 2, Cause::lost, backend_b, 0, rules) == Todo::attach);
    CHECK(old.reroute.state() == State::attached);
  }
}

TEST_CASE("what has not left a disabled backend after five seconds is lost, also between two tries") {
  Old old;
  old.reroute.disabled(old.now, 1);
  (void)old.reroute.move_due(old.now, Cause::disabled);
  (void)old.reroute.failed(old.now + 10, AttemptResult::nobody, nullptr, 0, rules);
  old.reroute.disabled(old.now + 2'000, 1);
  (void)old.reroute.move_due(old.now + 2'000, Cause::disabled);
  (void)old.reroute.failed(old.now + 2'010, AttemptResult::nobody, nullptr, 0, rules);
  CHECK(old.reroute.tick(old.now + 4'999, rules) == Todo::nothing);
  CHECK(old.reroute.tick(old.now + 5'000, rules) == Todo::lose);
  CHECK(old.reroute.next_ms(old.now + 4'999, 60'000, rules) == 1);
  CHECK(old.reroute.lost(old.now + 5'000, Cause::disabled, backend_b, 0, rules) == Todo::ask);
}

TEST_CASE("a disabled backend's time runs whatever its session does, until it has another leg") {
  Old old;
  const Tick end = old.now + Reroute::disabled_ms;
  old.reroute.disabled(old.now, 1);
  SUBCASE("no move is due") {
    CHECK(old.reroute.tick(end, rules) == Todo::lose);
  }
  SUBCASE("its move is called off") {
    (void)old.reroute.move_due(old.now, Cause::disabled);
    CHECK(old.reroute.call_off(old.now));
    CHECK(old.reroute.tick(end, rules) == Todo::lose);
  }
  SUBCASE("the new leg is there and finds no boundary") {
    (void)old.reroute.move_due(old.now, Cause::disabled);
    (void)old.reroute.ready(old.now + 1);
    CHECK(old.reroute.tick(end, rules) == Todo::lose);
    CHECK(old.reroute.lost(end, Cause::disabled, backend_b, 0, rules) == Todo::attach);
  }
  SUBCASE("the new leg is written to: the time was the old one's") {
    (void)old.reroute.move_due(old.now, Cause::disabled);
    (void)old.reroute.ready(old.now + 1);
    old.reroute.switched(old.now + 1);
    CHECK(old.reroute.tick(end, rules) == Todo::nothing);
    old.reroute.disabled(end, 1);  // the new one's
    CHECK(old.reroute.tick(end + Reroute::disabled_ms, rules) == Todo::lose);
  }
  SUBCASE("it is back") {
    old.reroute.not_disabled();
    CHECK(old.reroute.tick(end, rules) == Todo::nothing);
  }
}

TEST_CASE("a backend that says goodbye has not been killed by its session") {
  Old old;
  const Reroute::Rules many{10'000, 100, 5'000};
  Tick now = old.now;
  REQUIRE(old.reroute.lost(now, Cause::closing, backend_b, 0, many) == Todo::ask);
  for (int n = 0; n < 10; ++n) {
    REQUIRE(old.reroute.ready(now) == Todo::attach);
    now += 100;
    REQUIRE(old.reroute.lost(now, Cause::closing, backend_b, 0, many) == Todo::nothing);
    now += 1'000;
    REQUIRE(old.reroute.tick(now, many) == Todo::ask);
  }
}

TEST_CASE("a rolling restart uses up no attempts: each backend works for a while, then says goodbye") {
  Old old;
  Tick now = old.now;
  for (int n = 0; n < 20; ++n) {
    REQUIRE(old.reroute.lost(now, Cause::closing, backend_b, 0, rules) == Todo::ask);
    REQUIRE(old.reroute.ready(now) == Todo::attach);
    now += Reroute::early_ms;
  }
}

TEST_CASE("a closing session asks for nothing and says whether an attempt was under way") {
  Old old;
  CHECK_FALSE(old.reroute.close());
  Old held;
  (void)held.reroute.lost(held.now, Cause::lost, backend_b, 0, rules);
  CHECK(held.reroute.close());
  CHECK(held.reroute.tick(held.now + 60'000, rules) == Todo::nothing);
}

// Story: disabled, enabled and disabled again: the second time ended 5 s after the first.
TEST_CASE("each time that a backend is disabled its sessions have five seconds") {
  Old old;
  old.reroute.disabled(old.now, 1);
  old.reroute.disabled(old.now + 4'000, 2);
  CHECK(old.reroute.tick(old.now + 8'999, rules) == Todo::nothing);
  CHECK(old.reroute.tick(old.now + 9'000, rules) == Todo::lose);
}

}  // namespace
}  // namespace holdfast::session
