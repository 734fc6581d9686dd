// What only plain legs do; how legs read, write and end is in tls_leg_test.cpp's and the sessions' tests.

#include <doctest/doctest.h>

#include <array>

#include "unit/net/pair.hpp"

namespace holdfast::net::test {
namespace {

TEST_SUITE("plain leg") {
  TEST_CASE("a leg that was rehoused goes on where it was, with its limit and its place in the budget") {
    DescriptorBudget budget(100, 0);
    Pair pair = tcp_pair();
    const int descriptor = pair.theirs.get();
    Peer peer(make_plain_leg(std::move(pair.theirs)), descriptor);
    pair.ours.charge(budget);
    std::unique_ptr<Leg> leg = make_plain_leg(std::move(pair.ours));
    leg->limit_reads(3);
    peer.send("abcdef");
    const Leg* const before = leg.get();
    leg = rehouse(std::move(leg));
    CHECK(leg.get() != before);
    CHECK(budget.used() == 1);
    std::array<std::byte, 64> into;
    for (const char first : {'a', 'd'}) {
      const IoResult got = leg->read(into);
      CHECK(got.bytes == 3);
      CHECK(got.state == IoState::more);
      CHECK(std::to_integer<char>(into[0]) == first);
    }
    CHECK(leg->write(bytes_of("answer")).bytes == 6);
    CHECK(peer.read_some() == "answer");
    leg.reset();
    CHECK(budget.used() == 0);
    CHECK(peer.read_to_end().empty());
  }

  TEST_CASE("a TLS leg can't be rehoused and stays as it is") {
    Pair pair = tcp_pair();
    std::unique_ptr<Leg> leg = make_tls_server_leg(std::move(pair.ours), *identity().server);
    const Leg* const before = leg.get();
    leg = rehouse(std::move(leg));
    CHECK(leg.get() == before);
  }
}

}  // namespace
}  // namespace holdfast::net::test
