// Orders to leave a backend: who takes them, and what becomes of those that are taken back.
#include <doctest/doctest.h>

#include "unit/session/fixture.hpp"

namespace holdfast::session::test {
namespace {

using ws::Sender;

// Story: sessions that can't move were counted, so a rebalance chose the same immovable ones for ever.
TEST_CASE("an order for some of the sessions passes over those that can't move") {
  Rerouting running;
  const Ends fixed = running.open_and_greet({.continuity = Continuity::none});
  const Ends first = running.open_and_greet();
  const auto even_out = [&] {
    running.shard.send(std::make_unique<MoveSessions>(running.backend, Cause::rebalance, 1));
  };
  even_out();
  const auto attempt = running.desk.next();
  const Ends second = running.open_and_greet();
  even_out();  // the first is on its way
  CHECK(running.desk.next()->session != attempt->session);
}

}  // namespace
}  // namespace holdfast::session::test
