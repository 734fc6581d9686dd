// Sessions that live for weeks: the clock is the test's, in steps that a Tick can tell.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>

#include "session/session.hpp"
#include "unit/session/fixture.hpp"

namespace holdfast::session::test {
namespace {

constexpr std::uint64_t hour_ms = 3'600'000;
constexpr std::uint64_t day_ms = 24 * hour_ms;

/// One session of a shard without a thread.
class Still {
 public:
  Still() {
    route.ping_interval_ms = 0;
    upstream->early_death_ms = 10'000;
  }

  void open(std::uint32_t token_lasts_100ms = 0) {
    net::test::Pair front = net::test::tcp_pair();
    net::test::Pair back = net::test::tcp_pair();
    client = std::move(front.theirs);
    backend_end = std::move(back.theirs);
    Handover handover(*upstream::Seat::take(backend));
    handover.client = net::make_plain_leg(std::move(front.ours));
    handover.backend = net::make_plain_leg(std::move(back.ours));
    handover.route = &route;
    handover.continuation =
        Continuation::make(Continuation::Head{"GET / HTTP/1.1\r\n", nullptr, "", 0}, "", "");
    handover.open_sessions = &sessions;
    handover.token_lasts_100ms = token_lasts_100ms;
    shard.attach(handover);
  }
  /// Looks come every hour: more often than a Tick needs, and late enough to be quick.
  void pass(std::uint64_t milliseconds) {
    while (milliseconds != 0) {
      const auto step = static_cast<Tick>(std::min(milliseconds, hour_ms));
      shard.loop().turn_at(shard.loop().now() + step, {});
      milliseconds -= step;
    }
  }
  [[nodiscard]] std::uint64_t age_ms() {
    std::uint64_t age = 0;
    shard.for_each([&](Session& session, Handle) { age = session.view(shard.loop().now()).age_ms; });
    return age;
  }
  [[nodiscard]] bool is_open() {
    bool open = false;
    shard.for_each([&](Session& session, Handle) { open = session.is_running(); });
    return open;
  }
  [[nodiscard]] Reason cut() {
    shard.cut_all();
    return notes.next_record()->reason;
  }

  std::shared_ptr<upstream::UpstreamState> upstream = std::make_shared<upstream::UpstreamState>("chat");
  std::shared_ptr<upstream::Backend> backend = std::make_shared<upstream::Backend>(upstream, "127.0.0.1:1");
  Notes notes;
  Desk desk;
  metrics::RouteCells cells;
  metrics::PumpCells pump_cells;
  metrics::SessionCells sessions;
  RouteState route{"room", {&cells}};
  Shard shard{{0, pump_cells, notes, notes, Running::ping_marker, &desk, 256ULL << 20, 1, nullptr, true}};
  net::Socket client;
  net::Socket backend_end;
};

TEST_CASE("a session's age is right after months") {
  Still still;
  still.open();
  for (int week = 1; week <= 20; ++week) {
    still.pass(7 * day_ms);
    CHECK(still.age_ms() == static_cast<std::uint64_t>(week) * 7 * day_ms);
  }
}

TEST_CASE("a token that lasts for two months ends its session then") {
  Still still;
  still.route.at_expiry = 1008;
  still.open(static_cast<std::uint32_t>(60 * day_ms / 100));
  still.pass(60 * day_ms - 2 * hour_ms);
  CHECK(still.is_open());
  still.pass(3 * hour_ms);
  CHECK_FALSE(still.is_open());
  CHECK(still.cut() == Reason::token_expired);
}

// Story: after 24.8 days a Tick that is compared as if it were signed looks like one to come.
TEST_CASE("max_age may be a month, and a shorter one of a reload ends older sessions, too") {
  for (const bool by_reload : {false, true}) {
    Still still;
    if (!by_reload) still.route.max_age_ms = static_cast<std::uint32_t>(30 * day_ms);
    still.open();
    still.pass(30 * day_ms - 2 * hour_ms);
    CHECK(still.is_open());
    if (by_reload) still.route.max_age_ms = static_cast<std::uint32_t>(day_ms);
    still.pass(3 * hour_ms);
    CHECK_FALSE(still.is_open());
    CHECK(still.cut() == Reason::max_age);
  }
}

TEST_CASE("idle_timeout may be a month") {
  Still still;
  still.route.idle_timeout_ms = static_cast<std::uint32_t>(30 * day_ms);
  still.open();
  still.pass(30 * day_ms - 2 * hour_ms);
  CHECK(still.is_open());
  still.pass(3 * hour_ms);
  CHECK_FALSE(still.is_open());
  CHECK(still.cut() == Reason::idle);
}

TEST_CASE("a leg that has lived for a month or more did not die early") {
  constexpr std::uint64_t begun_anew_ms = (std::uint64_t{1} << 32U) + 1'000;
  for (const std::uint64_t lived : {30 * day_ms, begun_anew_ms}) {
    Still still;
    still.open();
    still.pass(lived);
    still.backend_end.reset();
    still.shard.for_each([](Session& session, Handle) {
      session.on_ready(1, {.readable = true, .writable = false, .ending = true, .dead = false});
    });
    CHECK(still.backend->failures(upstream::FailureKind::lost) == 1);
    CHECK(still.backend->failures(upstream::FailureKind::early_death) == 0);
  }
}

TEST_CASE("legs that have been silent for a month are pinged once there are pings") {
  Still still;
  still.open();
  still.pass(30 * day_ms);
  still.route.ping_interval_ms = 30'000;
  still.pass(10'000);
  still.pass(60'000);
  for (const net::Socket* peer : {&still.client, &still.backend_end}) {
    std::array<char, 64> got{};
    CHECK(recv(peer->get(), got.data(), got.size(), MSG_DONTWAIT) > 0);
    CHECK(got[0] == static_cast<char>(0x89));
  }
}

// The same, of the wait between two moves that find nobody.
TEST_CASE("a session whose move found nobody a month ago leaves at once when it is to leave again") {
  Still still;
  still.route.reroute_on = 0xf;
  still.route.quiet_ms = 0;
  still.open();
  still.backend->set_admin_state(upstream::AdminState::draining);
  still.pass(10'000);
  for (int n = 0; n < 8 && still.desk.is_idle(); ++n) still.pass(10'000);
  const auto attempt = still.desk.next();
  auto reply = std::make_unique<AttemptReply>();
  reply->session = attempt->session;
  reply->number = attempt->number;
  reply->result = AttemptResult::nobody;
  still.backend->set_admin_state(upstream::AdminState::active);
  still.shard.send(std::move(reply));
  still.pass(30 * day_ms);
  CHECK(still.desk.is_idle());
  still.backend->set_admin_state(upstream::AdminState::draining);
  for (int n = 0; n < 8 && still.desk.is_idle(); ++n) still.pass(10'000);
  CHECK_FALSE(still.desk.is_idle());
  CHECK(still.cut() == Reason::drain);
}

}  // namespace
}  // namespace holdfast::session::test
