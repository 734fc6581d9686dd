#include "server/rebalance.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

namespace holdfast::server::test {
namespace {

using Numbers = std::vector<std::uint64_t>;

struct Case {
  const char* what;
  std::vector<Share> shares;
  std::uint32_t threshold;
  Numbers expected;
};

TEST_CASE("who has more than the threshold above the mean gives away what is above it") {
  const Case cases[] = {
      {"a new backend beside two full ones", {{600, 1, 0}, {600, 1, 0}, {0, 1, 0}}, 10, {160, 160, 0}},
      {"even already", {{5, 1, 0}, {5, 1, 0}}, 10, {0, 0}},
      {"within the threshold", {{109, 1, 0}, {91, 1, 0}}, 10, {0, 0}},
      {"just above the threshold", {{111, 1, 0}, {89, 1, 0}}, 10, {1, 0}},
      {"weights count", {{300, 3, 0}, {100, 1, 0}}, 10, {0, 0}},
      {"too many for its weight", {{300, 1, 0}, {100, 3, 0}}, 0, {200, 0}},
      {"an odd one stays, or it would go to and fro", {{2, 1, 0}, {1, 1, 0}}, 10, {0, 0}},
      {"one single session stays", {{1, 1, 0}, {0, 1, 0}, {0, 1, 0}}, 0, {0, 0, 0}},
      {"a backup's sessions go home to the primaries",
       {{5, 1, 0}, {5, 1, 0}, {40, 0, 0, true}},
       10,
       {0, 0, 40}},
      {"nobody who could take them", {{40, 0, 0, true}, {3, 0, 0}}, 10, {0, 0}},
      {"weight 0 takes none and is left alone", {{100, 0, 0}, {10, 1, 0}, {10, 1, 0}}, 10, {0, 0, 0}},
      {"a full small one does not lower the mean", {{10, 1, 10}, {45, 1, 0}, {45, 1, 0}}, 0, {0, 0, 0}},
      {"a small one with room is still to be filled", {{0, 1, 10}, {50, 1, 0}}, 0, {0, 25}},
      {"one backend has nobody to give to", {{100, 1, 0}}, 0, {0}},
      {"no backend at all", {}, 10, {}},
      {"none takes sessions", {{7, 0, 0}, {9, 0, 0}}, 10, {0, 0}},
  };
  for (const Case& each : cases) {
    CAPTURE(each.what);
    CHECK(excess(each.shares, each.threshold) == each.expected);
  }
}

TEST_CASE("giving the excess to whoever has least comes to an end, and then nobody is above the threshold") {
  std::mt19937_64 random(7);
  for (int round = 0; round < 500; ++round) {
    std::vector<Share> shares(2 + random() % 5);
    for (Share& share : shares) share = {random() % 200, static_cast<std::uint32_t>(1 + random() % 4), 0};
    const auto threshold = static_cast<std::uint32_t>(random() % 40);
    for (int step = 0;; ++step) {
      REQUIRE(step < 5000);
      const Numbers above = excess(shares, threshold);
      const auto from = std::ranges::find_if(above, [](std::uint64_t n) { return n != 0; });
      if (from == above.end()) break;
      --shares[static_cast<std::size_t>(from - above.begin())].sessions;
      auto least = std::ranges::min_element(
          shares, {}, [](const Share& share) { return static_cast<double>(share.sessions) / share.weight; });
      ++least->sessions;
    }
  }
}

TEST_CASE("a number is divided into parts that differ by one, the larger ones from the given index on") {
  CHECK(divide(7, 3, 0) == Numbers{3, 2, 2});
  CHECK(divide(7, 3, 2) == Numbers{2, 2, 3});
  CHECK(divide(8, 3, 2) == Numbers{3, 2, 3});
  CHECK(divide(1, 4, 3) == Numbers{0, 0, 0, 1});
  CHECK(divide(0, 2, 1) == Numbers{0, 0});
  CHECK(divide(6, 2, 1) == Numbers{3, 3});
}

}  // namespace
}  // namespace holdfast::server::test
