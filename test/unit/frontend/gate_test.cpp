#include "frontend/gate.hpp"

#include <doctest/doctest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <string>
#include <vector>

namespace holdfast::frontend {
namespace {

namespace asio = boost::asio;
constexpr std::chrono::hours never{24};

// Visitors in a queue: who is inside holds a pass until the test takes it away.
struct Visits {
  explicit Visits(std::uint32_t places) : gate(places) {}

  void arrive(char who, TimePoint deadline = Clock::now() + never) {
    asio::co_spawn(io, visit(this, who, deadline), asio::detached);
    settle();
  }
  void leave(char who) {
    std::erase_if(inside, [who](const auto& each) { return each.first == who; });
    settle();
  }
  void settle() {
    io.restart();
    while (io.poll() > 0) {
    }
  }
  [[nodiscard]] std::string who_is_inside() const {
    std::string names;
    for (const auto& each : inside) names += each.first;
    return names;
  }
  static asio::awaitable<void> visit(Visits* self, char who, TimePoint deadline) {
    Gate::Pass pass = co_await self->gate.enter(self->io, deadline);
    if (pass) {
      self->inside.emplace_back(who, std::move(pass));
    } else {
      self->turned_away += who;
    }
  }

  Gate gate;
  // Passes die before the gate; waiting coroutines die with the io_context, before both.
  std::vector<std::pair<char, Gate::Pass>> inside;
  std::string turned_away;
  asio::io_context io{1};
};

TEST_CASE("only so many are inside at once, the others come in as they came") {
  Visits visits(2);
  CHECK_FALSE(visits.gate.crowded());
  for (const char who : {'a', 'b', 'c', 'd', 'e'}) visits.arrive(who);
  CHECK(visits.gate.crowded());
  CHECK(visits.who_is_inside() == "ab");
  visits.leave('b');
  CHECK(visits.who_is_inside() == "ac");
  visits.leave('a');
  visits.leave('c');
  CHECK(visits.who_is_inside() == "de");
  visits.leave('d');
  visits.leave('e');
  visits.arrive('f');
  visits.arrive('g');
  visits.arrive('h');
  CHECK(visits.who_is_inside() == "fg");
}

TEST_CASE("who waits beyond the deadline is turned away and takes nobody's place") {
  Visits visits(1);
  visits.arrive('a');
  visits.arrive('b', Clock::now() - std::chrono::milliseconds(1));
  visits.arrive('c');
  CHECK(visits.turned_away == "b");
  visits.leave('a');
  CHECK(visits.who_is_inside() == "c");
  visits.leave('c');
  visits.arrive('d');
  CHECK(visits.who_is_inside() == "d");
}

TEST_CASE("a place that comes free in the moment of the deadline is not lost") {
  Visits visits(1);
  visits.arrive('a');
  asio::co_spawn(visits.io, Visits::visit(&visits, 'b', Clock::now() - std::chrono::milliseconds(1)),
                 asio::detached);
  visits.io.restart();
  // One handler at a time: at every possible moment between arrival and being turned away.
  for (int steps = 0; steps < 3; ++steps) {
    visits.io.poll_one();
    if (steps == 1) std::erase_if(visits.inside, [](const auto& each) { return each.first == 'a'; });
  }
  visits.settle();
  visits.inside.clear();
  visits.settle();
  visits.arrive('c');
  CHECK(visits.who_is_inside() == "c");
}

TEST_CASE("a gate without places lets nobody in") {
  Visits visits(0);
  visits.arrive('a', Clock::now() - std::chrono::milliseconds(1));
  CHECK(visits.turned_away == "a");
}

TEST_CASE("who is waiting when everything is torn down leaves no trace") {
  Visits visits(1);
  visits.arrive('a');
  visits.arrive('b');
  CHECK(visits.who_is_inside() == "a");
}

}  // namespace
}  // namespace holdfast::frontend
