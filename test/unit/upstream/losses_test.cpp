// Sessions that are lost, 5xx, the success rate, doubled ejections and early returns: outlier detection in
// virtual time.
#include <doctest/doctest.h>

#include <string>

#include "holdfast/upstream/outlier.hpp"

namespace holdfast::upstream {
namespace {

using std::chrono::seconds;

constexpr std::uint32_t early_ms = 5'000;
constexpr std::uint32_t old_ms = 60'000;

OutlierRules all_rules() {
  OutlierRules rules;
  rules.consecutive_failures = 3;
  rules.consecutive_5xx = 3;
  rules.eject_for = seconds(30);
  rules.eject_max = seconds(120);
  rules.success_percent = 50;
  rules.success_minimum = 20;
  return rules;
}

/// Three backends of one upstream and a clock.
struct Stage {
  explicit Stage(OutlierRules with = all_rules()) : outlier(with, members) {
    members[0]->upstream_state()->early_death_ms = early_ms;
  }

  [[nodiscard]] Backend& backend(std::size_t n = 0) const { return *members[n]; }
  void pass(Milliseconds time) { now += time; }
  std::vector<Outlier::Verdict> crash(int sessions, std::uint32_t lived_ms) {
    for (int n = 0; n < sessions; ++n) backend().lost_leg(lived_ms);
    return outlier.collect(now);
  }
  void handshake(Outlier::Answer answer = Outlier::Answer::session) {
    Seat seat = *Seat::take(members[0]);
    outlier.succeeded(seat, answer, now);
  }
  void fail(FailureKind kind, int times) {
    for (int n = 0; n < times; ++n) (void)outlier.failed(backend(), kind, now);
  }
  void probe(ProbeVerdict verdict, int times = 1) {
    for (int n = 0; n < times; ++n) outlier.probed(backend(), verdict);
  }
  /// Ejected, for how long.
  void expect_ejected(EjectReason reason, Milliseconds lasts) const {
    CHECK(backend().ejected());
    CHECK(text(backend().ejection().reason) == text(reason));
    CHECK(backend().ejection().lasts == lasts);
    CHECK(backend().ejection().until == now + lasts);
  }

  std::shared_ptr<UpstreamState> state = std::make_shared<UpstreamState>("u");
  std::vector<std::shared_ptr<Backend>> members{std::make_shared<Backend>(state, "a"),
                                                std::make_shared<Backend>(state, "b"),
                                                std::make_shared<Backend>(state, "c")};
  Outlier outlier;
  TimePoint now = TimePoint{} + seconds(10'000);
};

// Story: a rolling restart kills a backend with 500 sessions.
TEST_CASE("a crash is one failure in a row, however many sessions it takes along") {
  Stage stage;
  CHECK(stage.crash(500, old_ms).empty());
  stage.pass(Milliseconds(500));
  CHECK(stage.crash(300, old_ms).empty());
  CHECK_FALSE(stage.backend().ejected());
  CHECK(stage.backend().failures(FailureKind::lost) == 800);
  CHECK(stage.backend().last_error() == "300 sessions lost without a Close");
  // The process is gone: nobody answers its port.
  stage.fail(FailureKind::connect, 1);
  CHECK_FALSE(stage.backend().ejected());
  stage.fail(FailureKind::connect, 1);
  stage.expect_ejected(EjectReason::consecutive_failures, seconds(30));
}

TEST_CASE("a backend that crashes again and again is ejected, with handshakes in between it is not") {
  Stage stage;
  for (int n = 0; n < 2; ++n) {
    CHECK(stage.crash(1, old_ms).empty());
    stage.pass(seconds(2));
  }
  stage.handshake();
  CHECK(stage.crash(1, old_ms).empty());
  stage.pass(seconds(2));
  CHECK(stage.crash(1, old_ms).empty());
  stage.pass(seconds(2));
  const auto verdicts = stage.crash(2, old_ms);
  REQUIRE(verdicts.size() == 1);
  CHECK(verdicts[0].backend == stage.members[0]);
  CHECK(verdicts[0].why == "2 sessions lost without a Close");
}

// Story: every handshake was answered, so nothing failed in a row, and every session was dropped at once.
TEST_CASE("early deaths in a row eject although the handshakes succeed") {
  Stage stage;
  for (int n = 0; n < 2; ++n) {
    stage.handshake();
    CHECK(stage.crash(1, 100).empty());
    stage.pass(seconds(1));
  }
  stage.handshake();
  CHECK(stage.crash(1, 100).size() == 1);
  stage.expect_ejected(EjectReason::early_deaths, seconds(30));
  CHECK(stage.backend().failures(FailureKind::early_death) == 3);
}

TEST_CASE("a session that lives ends the run of early deaths") {
  OutlierRules rules = all_rules();
  rules.success_percent = 0;
  Stage stage(rules);
  for (int n = 0; n < 20; ++n) {
    stage.handshake();
    stage.crash(1, 100);
    stage.pass(seconds(1));
    if (n % 2 != 0) stage.backend().kept_leg();
  }
  CHECK_FALSE(stage.backend().ejected());
}

TEST_CASE(
    "losses are not judged where that is switched off, nor of a backend that the operator has taken out") {
  OutlierRules off = all_rules();
  off.lost_sessions = LostSessions::ignored;
  Stage ignored(off);
  Stage drained;
  drained.backend().set_admin_state(AdminState::draining);
  for (Stage* stage : {&ignored, &drained}) {
    for (int n = 0; n < 50; ++n) {
      CHECK(stage->crash(10, 100).empty());
      stage->pass(seconds(1));
    }
    CHECK_FALSE(stage->backend().ejected());
    CHECK(stage->backend().failures(FailureKind::early_death) == 500);
  }
  // What was counted while nobody judged is not held against it later.
  drained.backend().set_admin_state(AdminState::active);
  CHECK(drained.crash(1, 100).empty());
}

TEST_CASE("5xx answers have a run of their own, which any other answer ends") {
  Stage stage;
  stage.fail(FailureKind::handshake_status, 2);
  stage.fail(FailureKind::timeout, 2);
  CHECK_FALSE(stage.backend().ejected());
  stage.handshake(Outlier::Answer::other);
  stage.fail(FailureKind::handshake_status, 2);
  CHECK_FALSE(stage.backend().ejected());
  stage.fail(FailureKind::handshake_status, 1);
  stage.expect_ejected(EjectReason::consecutive_5xx, seconds(30));

  OutlierRules off = all_rules();
  off.consecutive_5xx = 0;
  off.success_percent = 0;
  Stage lenient(off);
  lenient.fail(FailureKind::handshake_status, 100);
  CHECK_FALSE(lenient.backend().ejected());
}

TEST_CASE("the success rate ejects below its threshold, from its minimum on") {
  struct Row {
    int good;
    int bad;
    bool ejected;
  };
  for (const Row& row : {Row{9, 10, false}, Row{9, 11, true}, Row{10, 10, false}, Row{10, 11, true},
                         Row{100, 100, false}, Row{0, 20, true}}) {
    CAPTURE(row.good);
    CAPTURE(row.bad);
    OutlierRules rules = all_rules();
    rules.consecutive_failures = rules.consecutive_5xx = 0;
    Stage stage(rules);
    for (int n = 0; n < row.good; ++n) stage.handshake(Outlier::Answer::other);
    stage.fail(FailureKind::handshake_status, row.bad);
    CHECK(stage.backend().ejected() == row.ejected);
    if (row.ejected) CHECK(stage.backend().ejections(EjectReason::success_rate) == 1);
  }
}

TEST_CASE("a handshake whose session dies early is no success") {
  OutlierRules rules = all_rules();
  rules.consecutive_failures = 0;
  Stage stage(rules);
  for (int n = 0; n < 100; ++n) stage.handshake();
  CHECK(stage.crash(19, 100).empty());
  for (int n = 0; n < 19; ++n) stage.backend().kept_leg();
  CHECK(stage.crash(1, 100).size() == 1);
  stage.expect_ejected(EjectReason::success_rate, seconds(30));
}

TEST_CASE("each ejection lasts twice as long, up to eject_max, and time without one takes that back") {
  Stage stage;
  const auto eject = [&] {
    stage.fail(FailureKind::timeout, 3);
    REQUIRE(stage.backend().ejected());
    return stage.backend().ejection().lasts;
  };
  const auto readmit = [&] {
    stage.probe(ProbeVerdict::passed);
    stage.pass(stage.backend().ejection().lasts);
    REQUIRE(stage.outlier.tick(stage.now).size() == 1);
  };
  for (const int expected : {30, 60, 120, 120, 120}) {
    CHECK(eject() == seconds(expected));
    readmit();
  }
  stage.handshake();
  stage.pass(seconds(30));  // one doubling back
  CHECK(eject() == seconds(60));
  readmit();
  stage.handshake();
  stage.pass(seconds(3600));
  CHECK(eject() == seconds(30));
}

TEST_CASE("a readmitted backend is still known after its longest time out") {
  OutlierRules rules = all_rules();
  rules.eject_for = rules.eject_max = seconds(3600);
  Stage stage(rules);
  stage.fail(FailureKind::timeout, 3);
  stage.probe(ProbeVerdict::passed);
  stage.pass(seconds(3600));
  REQUIRE(stage.outlier.tick(stage.now).size() == 1);
  stage.fail(FailureKind::timeout, 1);
  CHECK(stage.backend().ejected());
}

TEST_CASE("a first failure after a trial's begin ejects again, whatever the reason was") {
  OutlierRules rules = all_rules();
  rules.consecutive_5xx = 0;
  Stage stage(rules);
  stage.fail(FailureKind::handshake_status, 20);
  stage.expect_ejected(EjectReason::success_rate, seconds(30));
  stage.probe(ProbeVerdict::passed);
  stage.pass(seconds(30));
  REQUIRE(stage.outlier.tick(stage.now).size() == 1);
  stage.fail(FailureKind::timeout, 1);
  CHECK(stage.backend().ejected());
}

TEST_CASE("a restarted backend returns with its probes, a mute one serves its time") {
  struct Row {
    const char* name;
    FailureKind kind;
    bool probe_fails;
    bool returns;
  };
  for (const Row& row : {Row{"restarted too quickly for probes", FailureKind::connect, false, true},
                         Row{"restarted", FailureKind::connect, true, true},
                         Row{"hung, then restarted", FailureKind::timeout, true, true},
                         Row{"mute", FailureKind::timeout, false, false}}) {
    CAPTURE(row.name);
    Stage stage;
    stage.fail(row.kind, 3);
    REQUIRE(stage.backend().ejected());
    stage.pass(seconds(1));
    if (row.probe_fails) stage.probe(ProbeVerdict::failed);
    stage.probe(ProbeVerdict::passed);
    CHECK(stage.outlier.tick(stage.now).empty());
    stage.probe(ProbeVerdict::passed);
    CHECK(stage.outlier.tick(stage.now).size() == (row.returns ? 1 : 0));
  }
}

// Story: up for a second, down for a second, for ever: each return cost its clients another reroute.
TEST_CASE("a flapping backend returns early only once, then it is out for longer each time") {
  Stage stage;
  int ejections = 0;
  TimePoint last_return{};
  for (int second = 0; second < 600; ++second) {
    const bool up = second % 2 == 0;
    stage.probe(up ? ProbeVerdict::passed : ProbeVerdict::failed, 5);
    for (const auto& member : stage.outlier.tick(stage.now)) {
      CHECK(member == stage.members[0]);
      last_return = stage.now;
    }
    if (!stage.backend().ejected()) {
      if (up) {
        if (auto seat = Seat::take(stage.members[0]))
          stage.outlier.succeeded(*seat, Outlier::Answer::session, stage.now);
      } else {
        stage.crash(50, 900);
        stage.fail(FailureKind::connect, 5);
        ejections += stage.backend().ejected() ? 1 : 0;
      }
    }
    stage.pass(seconds(1));
  }
  // Once at first, once after its early return, then after 60, 120, 120, 120 s.
  CHECK(ejections >= 5);
  CHECK(ejections <= 7);
}

TEST_CASE("a backend without a probe of its own returns by time alone") {
  Stage stage;
  stage.backend().set_probed(false);
  stage.fail(FailureKind::connect, 3);
  stage.pass(seconds(29));
  CHECK(stage.outlier.tick(stage.now).empty());
  stage.pass(seconds(1));
  CHECK(stage.outlier.tick(stage.now).size() == 1);
}

}  // namespace
}  // namespace holdfast::upstream
