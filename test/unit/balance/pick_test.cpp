#include "holdfast/balance/pick.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>

namespace holdfast::balance {
namespace {

// The seed of all random worlds below; HOLDFAST_TEST_SEED replays one.
std::uint64_t world_seed() {
  const char* const given = std::getenv("HOLDFAST_TEST_SEED");
  return given == nullptr ? 20'240'601 : std::strtoull(given, nullptr, 10);
}

struct World {
  std::vector<View> views;
  std::vector<std::size_t> exclude;
};

World random_world(Rng& rng) {
  const auto below = [&rng](std::uint64_t limit) { return static_cast<std::uint32_t>(rng() % limit); };
  World world;
  for (std::uint32_t n = below(8); n > 0; --n) {
    world.views.push_back({below(5), below(4), below(4) != 0, below(5) == 0});
  }
  for (std::uint32_t n = below(3); n > 0 && !world.views.empty(); --n) {
    world.exclude.push_back(below(world.views.size()));
  }
  return world;
}

bool candidate(const World& world, std::size_t i) {
  const View& view = world.views[i];
  return view.eligible && !view.full && view.weight != 0 &&
         std::count(world.exclude.begin(), world.exclude.end(), i) == 0;
}

bool has_candidate(const World& world) {
  for (std::size_t i = 0; i < world.views.size(); ++i) {
    if (candidate(world, i)) return true;
  }
  return false;
}

TEST_CASE("both policies pick a candidate whenever there is one and nobody else ever") {
  Rng rng(world_seed());
  INFO("HOLDFAST_TEST_SEED=" << world_seed());
  for (int round = 0; round < 5'000; ++round) {
    const World world = random_world(rng);
    RoundRobin turns;
    for (const Policy policy : {Policy::least_connections, Policy::round_robin}) {
      const auto index = pick(policy, world.views, world.exclude, rng, turns);
      REQUIRE(index.has_value() == has_candidate(world));
      if (index) REQUIRE(candidate(world, *index));
    }
  }
}

TEST_CASE("least connections never picks one that is loaded more per weight than another candidate") {
  Rng rng(world_seed());
  INFO("HOLDFAST_TEST_SEED=" << world_seed());
  for (int round = 0; round < 5'000; ++round) {
    const World world = random_world(rng);
    RoundRobin turns;
    const auto index = pick(Policy::least_connections, world.views, world.exclude, rng, turns);
    for (std::size_t i = 0; index && i < world.views.size(); ++i) {
      if (!candidate(world, i)) continue;
      const View& best = world.views[*index];
      REQUIRE(std::uint64_t{best.sessions} * world.views[i].weight <=
              std::uint64_t{world.views[i].sessions} * best.weight);
    }
  }
}

TEST_CASE("least connections fills backends in proportion to their weights") {
  Rng rng(1);
  RoundRobin turns;
  std::vector<View> views = {{0, 1, true, false}, {0, 2, true, false}, {0, 5, true, false}};
  for (int i = 0; i < 800; ++i) ++views[*pick(Policy::least_connections, views, {}, rng, turns)].sessions;
  CHECK(views[0].sessions == 100);
  CHECK(views[1].sessions == 200);
  CHECK(views[2].sessions == 500);
}

TEST_CASE("least connections breaks ties with the same chance for each") {
  Rng rng(7);
  RoundRobin turns;
  const std::vector<View> views(4);
  std::array<int, 4> hits{};
  for (int i = 0; i < 40'000; ++i) ++hits[*pick(Policy::least_connections, views, {}, rng, turns)];
  // 10,000 expected each, standard deviation 87.
  for (const int count : hits) CHECK(std::abs(count - 10'000) < 500);
}

TEST_CASE("load per weight is compared without overflow") {
  Rng rng(1);
  RoundRobin turns;
  const std::vector<View> views = {{4'000'000'000U, 4'000'000'000U, true, false},
                                   {3'999'999'999U, 4'000'000'000U, true, false}};
  CHECK(pick(Policy::least_connections, views, {}, rng, turns) == 1);
}

TEST_CASE("round robin spreads weights evenly over a turn") {
  Rng rng(1);
  RoundRobin turns;
  const std::vector<View> views = {{0, 5, true, false}, {0, 1, true, false}, {0, 1, true, false}};
  std::string order;
  for (int i = 0; i < 14; ++i) {
    order.push_back(static_cast<char>('a' + *pick(Policy::round_robin, views, {}, rng, turns)));
  }
  CHECK(order == "aabacaaaabacaa");
}

TEST_CASE("round robin gives each exactly its weight per turn, whatever the weights") {
  Rng rng(world_seed());
  INFO("HOLDFAST_TEST_SEED=" << world_seed());
  for (int round = 0; round < 200; ++round) {
    std::vector<View> views(1 + rng() % 6);
    std::uint32_t total = 0;
    for (View& view : views) total += view.weight = static_cast<std::uint32_t>(rng() % 10);
    RoundRobin turns;
    std::vector<std::uint32_t> hits(views.size());
    for (std::uint32_t i = 0; i < total; ++i) ++hits[*pick(Policy::round_robin, views, {}, rng, turns)];
    for (std::size_t i = 0; i < views.size(); ++i) REQUIRE(hits[i] == views[i].weight);
  }
}

TEST_CASE("round robin starts afresh when the number of backends changes") {
  Rng rng(1);
  RoundRobin turns;
  CHECK(pick(Policy::round_robin, std::vector<View>(2), {}, rng, turns) == 0);
  CHECK(pick(Policy::round_robin, std::vector<View>(3), {}, rng, turns) == 0);
  CHECK(turns.owed.size() == 3);
}

}  // namespace
}  // namespace holdfast::balance
