// Legs as pumps keep them: plain ones by value, others behind their pointer.

#include "holdfast/net/pump_leg.hpp"

#include <doctest/doctest.h>

#include <array>

#include "unit/net/pair.hpp"

namespace holdfast::net::test {
namespace {

TEST_SUITE("pump leg") {
  TEST_CASE(
      "a plain leg goes on where it was, with its place in the budget, and gives that back at its end") {
    DescriptorBudget budget(100, 0);
    Pair pair = tcp_pair();
    const int descriptor = pair.theirs.get();
    Peer peer(make_plain_leg(std::move(pair.theirs)), descriptor);
    pair.ours.charge(budget);
    PumpLeg leg(make_plain_leg(std::move(pair.ours)));
    CHECK(leg);
    CHECK(leg.is_bare());
    CHECK(leg.other() == nullptr);
    CHECK(budget.used() == 1);
    leg.limit_reads(3);
    peer.send("abcdef");
    std::array<std::byte, 64> into;
    for (const char first : {'a', 'd'}) {
      const IoResult got = leg.read(into);
      CHECK(got.bytes == 3);
      CHECK(got.state == IoState::more);
      CHECK(std::to_integer<char>(into[0]) == first);
    }
    CHECK(leg.read(into).state == IoState::drained);
    CHECK(leg.write(bytes_of("answer")).bytes == 6);
    CHECK(peer.read_some() == "answer");
    leg.reset();
    CHECK_FALSE(leg);
    CHECK(budget.used() == 0);
    CHECK(peer.read_to_end().empty());
  }

  TEST_CASE("of two places only the one that it was moved to has the leg, and what that had had is closed") {
    DescriptorBudget budget(100, 0);
    Pair one = tcp_pair();
    Pair other = tcp_pair();
    one.ours.charge(budget);
    other.ours.charge(budget);
    PumpLeg from(make_plain_leg(std::move(one.ours)));
    PumpLeg to(make_plain_leg(std::move(other.ours)));
    to = std::move(from);
    CHECK_FALSE(from);  // NOLINT: that is the question
    CHECK(to);
    CHECK(budget.used() == 1);
    const int descriptor = one.theirs.get();
    Peer peer(make_plain_leg(std::move(one.theirs)), descriptor);
    CHECK(to.write(bytes_of("still here")).bytes == 10);
    CHECK(peer.read_some() == "still here");
  }

  TEST_CASE("a leg of another sort stays the object that it is") {
    Pair pair = tcp_pair();
    std::unique_ptr<Leg> tls = make_tls_server_leg(std::move(pair.ours), *identity().server);
    const Leg* const before = tls.get();
    PumpLeg leg(std::move(tls));
    CHECK(leg);
    CHECK(leg.other() == before);
    CHECK_FALSE(leg.is_bare());
    PumpLeg none(nullptr);
    CHECK_FALSE(none);
  }
}

}  // namespace
}  // namespace holdfast::net::test
