#include "holdfast/upstream/outlier.hpp"

#include <doctest/doctest.h>

#include <string>

namespace holdfast::upstream {
namespace {

using std::chrono::seconds;

constexpr TimePoint start{};

std::vector<std::shared_ptr<Backend>> backends(std::size_t count) {
  std::vector<std::shared_ptr<Backend>> made;
  for (std::size_t i = 0; i < count; ++i) made.push_back(std::make_shared<Backend>("u", std::to_string(i)));
  return made;
}

OutlierRules rules(Probing probing = Probing::on) {
  return {3, seconds(30), 50, probing};
}

Change fail(const Outlier& outlier, Backend& backend, int times, TimePoint now = start) {
  Change last = Change::none;
  for (int i = 0; i < times; ++i) last = outlier.failed(backend, FailureKind::timeout, now);
  return last;
}

TEST_CASE("failures in a row eject at the threshold and are told once") {
  const auto members = backends(2);
  const Outlier outlier(rules(), members);
  CHECK(fail(outlier, *members[0], 2) == Change::none);
  CHECK_FALSE(members[0]->ejected());
  CHECK(fail(outlier, *members[0], 1) == Change::ejected);
  CHECK(members[0]->ejected());
  CHECK_FALSE(members[0]->eligible());
  CHECK(fail(outlier, *members[0], 5) == Change::none);
}

TEST_CASE("a success in between starts the count anew") {
  const auto members = backends(2);
  const Outlier outlier(rules(), members);
  fail(outlier, *members[0], 2);
  Seat seat = *Seat::take(members[0]);
  outlier.succeeded(seat);
  CHECK(fail(outlier, *members[0], 2) == Change::none);
  CHECK(fail(outlier, *members[0], 1) == Change::ejected);
}

TEST_CASE("an HTTP answer instead of 101 neither counts nor resets") {
  const auto members = backends(2);
  const Outlier outlier(rules(), members);
  fail(outlier, *members[0], 2);
  CHECK(outlier.failed(*members[0], FailureKind::handshake_status, start) == Change::none);
  CHECK(fail(outlier, *members[0], 1) == Change::ejected);
}

TEST_CASE("no more than the share is ejected, but one of two may always be") {
  struct Row {
    std::size_t members;
    std::uint32_t percent;
    int most;
  };
  for (const Row& row : {Row{1, 50, 0}, Row{1, 100, 1}, Row{2, 10, 1}, Row{4, 50, 2}, Row{5, 50, 2},
                         Row{10, 100, 10}, Row{10, 0, 0}}) {
    CAPTURE(row.members);
    CAPTURE(row.percent);
    const auto members = backends(row.members);
    OutlierRules limited = rules();
    limited.max_ejected_percent = row.percent;
    const Outlier outlier(limited, members);
    int ejected = 0;
    for (const auto& member : members) ejected += fail(outlier, *member, 3) == Change::ejected ? 1 : 0;
    CHECK(ejected == row.most);
  }
}

TEST_CASE("a backend kept in by the share is ejected by its next failure when there is room") {
  const auto members = backends(2);
  const Outlier outlier(rules(Probing::off), members);
  fail(outlier, *members[0], 3);
  CHECK(fail(outlier, *members[1], 3) == Change::none);
  CHECK(outlier.tick(start + seconds(30)).size() == 1);
  CHECK(fail(outlier, *members[1], 1) == Change::ejected);
}

TEST_CASE("zero consecutive failures switches ejection off") {
  const auto members = backends(2);
  OutlierRules off = rules();
  off.consecutive_failures = 0;
  CHECK(fail(Outlier(off, members), *members[0], 100) == Change::none);
}

TEST_CASE("without probes an ejected backend comes back by time alone") {
  const auto members = backends(2);
  const Outlier outlier(rules(Probing::off), members);
  fail(outlier, *members[0], 3);
  CHECK(outlier.tick(start + seconds(30) - Milliseconds(1)).empty());
  CHECK(outlier.tick(start + seconds(30)) == std::vector{members[0]});
  CHECK(members[0]->eligible());
  CHECK(outlier.tick(start + seconds(31)).empty());
}

TEST_CASE("with probes an ejected backend comes back only after the latest probe since passed") {
  const auto members = backends(2);
  const Outlier outlier(rules(), members);
  outlier.probed(*members[0], ProbeVerdict::passed);
  fail(outlier, *members[0], 3);
  CHECK(outlier.tick(start + seconds(60)).empty());
  outlier.probed(*members[0], ProbeVerdict::passed);
  outlier.probed(*members[0], ProbeVerdict::failed);
  CHECK(outlier.tick(start + seconds(60)).empty());
  outlier.probed(*members[0], ProbeVerdict::passed);
  CHECK(outlier.tick(start + seconds(29)).empty());
  CHECK(outlier.tick(start + seconds(60)).size() == 1);
}

// A mute backend lets tcp probes pass for ever: it must cost one client per round, not all of them.
TEST_CASE("a readmitted backend gets one try at a time and its first failure ejects it again") {
  const auto members = backends(2);
  const Outlier outlier(rules(Probing::off), members);
  fail(outlier, *members[0], 3);
  outlier.tick(start + seconds(30));
  auto trial = Seat::take(members[0]);
  REQUIRE(trial.has_value());
  CHECK(members[0]->full());
  CHECK_FALSE(Seat::take(members[0]).has_value());
  CHECK(fail(outlier, *members[0], 1, start + seconds(35)) == Change::ejected);
  trial.reset();
  CHECK(outlier.tick(start + seconds(64)).empty());
  CHECK(outlier.tick(start + seconds(65)).size() == 1);
}

TEST_CASE("a trial that is dropped without an outcome goes to the next client") {
  const auto members = backends(2);
  const Outlier outlier(rules(Probing::off), members);
  fail(outlier, *members[0], 3);
  outlier.tick(start + seconds(30));
  CHECK(Seat::take(members[0]).has_value());
  CHECK(Seat::take(members[0]).has_value());
  CHECK(members[0]->sessions() == 0);
}

TEST_CASE("a trial that succeeds opens the backend to all") {
  const auto members = backends(2);
  const Outlier outlier(rules(Probing::off), members);
  fail(outlier, *members[0], 3);
  outlier.tick(start + seconds(30));
  Seat seat = *Seat::take(members[0]);
  outlier.succeeded(seat);
  CHECK_FALSE(members[0]->full());
  CHECK(Seat::take(members[0]).has_value());
  CHECK(fail(outlier, *members[0], 2) == Change::none);
}

// A session that began as a trial and ends in a later trial of the same backend must not end that one.
TEST_CASE("a former trial's seat does not open a later trial") {
  const auto members = backends(2);
  const Outlier outlier(rules(Probing::off), members);
  fail(outlier, *members[0], 3);
  outlier.tick(start + seconds(30));
  auto old = Seat::take(members[0]);
  outlier.succeeded(*old);
  fail(outlier, *members[0], 3, start + seconds(40));
  outlier.tick(start + seconds(70));
  const auto trial = Seat::take(members[0]);
  REQUIRE(trial.has_value());
  old.reset();
  CHECK_FALSE(Seat::take(members[0]).has_value());
}

TEST_CASE("a trial does not get past max_sessions and stays open") {
  const auto members = backends(2);
  const Outlier outlier(rules(Probing::off), members);
  auto present = Seat::take(members[0]);
  members[0]->set_max_sessions(1);
  fail(outlier, *members[0], 3);
  outlier.tick(start + seconds(30));
  CHECK_FALSE(Seat::take(members[0]).has_value());
  present.reset();
  CHECK(Seat::take(members[0]).has_value());
}

TEST_CASE("ejection survives a reload: new rules over the same backends readmit") {
  const auto members = backends(2);
  fail(Outlier(rules(), members), *members[0], 3);
  const Outlier reloaded(rules(Probing::off), members);
  CHECK(members[0]->ejected());
  CHECK(reloaded.tick(start + seconds(30)).size() == 1);
}

}  // namespace
}  // namespace holdfast::upstream
