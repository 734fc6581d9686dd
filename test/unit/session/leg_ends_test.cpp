// What outlier detection is told of a backend leg's end, and of one that goes on.
#include <doctest/doctest.h>

#include <functional>

#include "unit/session/fixture.hpp"

namespace holdfast::session::test {
namespace {

using upstream::FailureKind;
using ws::Sender;

struct Told {
  std::uint64_t lost = 0;
  std::uint64_t early = 0;
  std::uint64_t kept = 0;
  bool operator==(const Told&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Told& told) {
  return out << told.lost << " lost, " << told.early << " early, " << told.kept << " kept";
}

Told told_of(const upstream::Backend& backend) {
  return {backend.failures(FailureKind::lost), backend.failures(FailureKind::early_death),
          backend.kept_legs()};
}

/// Waits: the end is seen on the shard's thread.
void expect(const upstream::Backend& backend, Told expected) {
  const TimePoint deadline = Clock::now() + patience;
  while (told_of(backend) != expected && Clock::now() < deadline)
    std::this_thread::sleep_for(Milliseconds(1));
  CHECK(told_of(backend) == expected);
}

struct Judged : Rerouting {
  explicit Judged(std::uint32_t early_ms = 60'000) { upstream->early_death_ms = early_ms; }
};

TEST_CASE("each way of a session's end tells what it says about the backend, once") {
  struct Row {
    const char* name;
    std::function<void(Judged&, Ends&)> end;
    Told told;
  };
  const std::vector<Row> rows{
      {"reset", [](Judged&, Ends& ends) { ends.backend.abort(); }, {0, 1, 0}},
      {"FIN", [](Judged&, Ends& ends) { ends.backend.finish(); }, {0, 1, 0}},
      {"Close 1000",
       [](Judged&, Ends& ends) { ends.backend.send(close_from(Sender::server, 1000)); },
       {0, 0, 1}},
      {"Close 1011",
       [](Judged&, Ends& ends) { ends.backend.send(close_from(Sender::server, 1011)); },
       {0, 0, 0}},
      {"Close that reroutes",
       [](Judged& running, Ends& ends) {
         ends.backend.send(close_from(Sender::server, 1012));
         (void)running.desk.next();
       },
       {0, 0, 0}},
      {"Close of the client",
       [](Judged&, Ends& ends) { ends.client.send(close_from(Sender::client, 4000)); },
       {0, 0, 1}},
      {"client gone", [](Judged&, Ends& ends) { ends.client.abort(); }, {0, 0, 0}},
  };
  for (const bool reroutes : {true, false}) {
    for (const Row& row : rows) {
      if (!reroutes && std::string_view(row.name) == "Close that reroutes") continue;
      CAPTURE(row.name);
      CAPTURE(reroutes);
      Judged running;
      if (!reroutes) running.route.reroute_on = 0;
      Ends ends = running.open_and_greet();
      row.end(running, ends);
      if (row.told == Told{}) std::this_thread::sleep_for(Milliseconds(50));
      expect(*running.backend, row.told);
      ends.backend.close();
      ends.client.close();
      running.sync();
      CHECK(told_of(*running.backend) == row.told);
    }
  }
}

TEST_CASE("a leg that has lived for early_death is kept, and lost afterwards it is no early death") {
  Judged running(50);
  Ends ends = running.open_and_greet();
  expect(*running.backend, {0, 0, 1});
  ends.backend.abort();
  expect(*running.backend, {1, 0, 1});
}

TEST_CASE("without early_death nothing is kept and every loss is one") {
  Judged running(0);
  Ends ends = running.open_and_greet();
  ends.backend.abort();
  expect(*running.backend, {1, 0, 0});
}

TEST_CASE("a leg that is left in a move is not lost, the next one is judged for itself") {
  Judged running;
  Ends ends = running.open_and_greet();
  running.move(Cause::unhealthy);
  End next = running.answer(*running.desk.next());
  CHECK(ends.backend.expect().code() == 1001);
  ends.backend.abort();
  next.send(from_backend("here"));
  CHECK(ends.client.expect().payload == "here");
  CHECK(told_of(*running.backend) == Told{});
  next.abort();
  expect(*running.other_backend, {0, 1, 0});
  CHECK(told_of(*running.backend) == Told{});
}

}  // namespace
}  // namespace holdfast::session::test
