#include "holdfast/balance/pick.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <string>

#include "unit/balance/stage.hpp"

namespace holdfast::balance {
namespace {

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

TEST_CASE("every policy picks a candidate whenever there is one and nobody else ever") {
  Rng rng(world_seed());
  INFO("HOLDFAST_TEST_SEED=" << world_seed());
  for (int round = 0; round < 5'000; ++round) {
    const World world = random_world(rng);
    for (const Policy policy : all_policies) {
      Stage stage(policy, world.views);
      const auto index = stage.pick({rng(), world.exclude});
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
    Stage stage(Policy::least_connections, world.views, rng());
    const auto index = stage.pick({std::nullopt, world.exclude});
    for (std::size_t i = 0; index && i < world.views.size(); ++i) {
      if (!candidate(world, i)) continue;
      const View& best = world.views[*index];
      REQUIRE(std::uint64_t{best.sessions} * world.views[i].weight <=
              std::uint64_t{world.views[i].sessions} * best.weight);
    }
  }
}

TEST_CASE("least connections fills backends in proportion to their weights") {
  Stage stage(Policy::least_connections, {{0, 1}, {0, 2}, {0, 5}});
  for (int i = 0; i < 800; ++i) stage.place();
  CHECK(stage.views[0].sessions == 100);
  CHECK(stage.views[1].sessions == 200);
  CHECK(stage.views[2].sessions == 500);
}

TEST_CASE("least connections breaks ties with the same chance for each") {
  Stage stage(Policy::least_connections, std::vector<View>(4), 7);
  std::array<int, 4> hits{};
  for (int i = 0; i < 40'000; ++i) ++hits[*stage.pick()];
  // 10,000 expected each, standard deviation 87.
  for (const int count : hits) CHECK(std::abs(count - 10'000) < 500);
}

TEST_CASE("load per weight is compared without overflow") {
  Stage stage(Policy::least_connections,
              {{4'000'000'000U, 4'000'000'000U}, {3'999'999'999U, 4'000'000'000U}});
  CHECK(stage.pick() == 1);
}

TEST_CASE("round robin spreads weights evenly over a turn") {
  Stage stage(Policy::round_robin, {{0, 5}, {0, 1}, {0, 1}});
  std::string order;
  for (int i = 0; i < 14; ++i) order.push_back(static_cast<char>('a' + *stage.pick()));
  CHECK(order == "aabacaaaabacaa");
}

TEST_CASE("round robin gives each exactly its weight per turn, whatever the weights") {
  Rng rng(world_seed());
  INFO("HOLDFAST_TEST_SEED=" << world_seed());
  for (int round = 0; round < 200; ++round) {
    std::vector<View> views(1 + rng() % 6);
    std::uint32_t total = 0;
    for (View& view : views) total += view.weight = static_cast<std::uint32_t>(rng() % 10);
    std::vector<std::uint32_t> hits(views.size());
    Stage stage(Policy::round_robin, views);
    for (std::uint32_t i = 0; i < total; ++i) ++hits[*stage.pick()];
    for (std::size_t i = 0; i < views.size(); ++i) REQUIRE(hits[i] == views[i].weight);
  }
}

// Picks of each of `stage`, nobody of whom takes a session for good.
std::vector<double> shares(Stage& stage, int picks) {
  std::vector<double> shares(stage.views.size());
  for (int i = 0; i < picks; ++i) shares[*stage.pick()] += 1.0 / picks;
  return shares;
}

TEST_CASE("random and two choices give each its weight's share") {
  const std::vector<View> views = {{0, 1}, {0, 2}, {0, 5}, {0, 0}, {0, 9, false}};
  Stage random(Policy::random, views, 3);
  const auto drawn = shares(random, 80'000);
  // Standard deviations of 0.0012 to 0.0017.
  CHECK(drawn[0] == doctest::Approx(0.125).epsilon(0.05));
  CHECK(drawn[1] == doctest::Approx(0.25).epsilon(0.05));
  CHECK(drawn[2] == doctest::Approx(0.625).epsilon(0.05));
  CHECK(drawn[3] + drawn[4] == 0);

  Stage two(Policy::two_choices, views, 3);
  for (int i = 0; i < 8'000; ++i) two.place();
  CHECK(two.views[0].sessions == doctest::Approx(1'000).epsilon(0.02));
  CHECK(two.views[1].sessions == doctest::Approx(2'000).epsilon(0.02));
  CHECK(two.views[2].sessions == doctest::Approx(5'000).epsilon(0.02));
}

TEST_CASE("two choices takes the less loaded of two and finds the last one that has room") {
  Stage stage(Policy::two_choices, {{9, 1}, {1, 1}}, 5);
  for (int i = 0; i < 100; ++i) CHECK(stage.pick() == 1);
  std::vector<View> views(500, View{5, 1, true, true});
  views[321].full = false;
  for (const Policy policy : {Policy::two_choices, Policy::random}) {
    Stage large(policy, views);
    CHECK(large.pick() == 321);
  }
}

TEST_CASE("who is eased in gets its ramped weight's share of the picks under every policy") {
  for (const Policy policy : all_policies) {
    CAPTURE(static_cast<int>(policy));
    std::vector<View> views(10, View{100, 1});
    views[4] = {0, 1, true, false, 10};
    Stage stage(policy, views, 11);
    stage.rules.hash_balance_factor = 0;
    stage.renew();
    int hits = 0;
    for (int i = 0; i < 50'000; ++i) {
      const auto index = *stage.pick({stage.rng()});
      hits += index == 4 ? 1 : 0;
    }
    // A tenth of one of ten: 0.1 / 9.1 = 0.011. Two choices prefers it whenever it is drawn: 0.1 / 8.1 more.
    const double share = hits / 50'000.0;
    CHECK(share > 0.006);
    CHECK(share < 0.026);
  }
}

// Story: a backend that was restarted had no sessions, so least connections gave it every client that came:
// 300 handshakes a second for a process with cold caches.
TEST_CASE(
    "a fresh backend among loaded ones gets all it lacks at once without a slow start, and not with one") {
  std::vector<View> views(4, View{300, 1});
  views[3].sessions = 0;
  Stage at_once(Policy::least_connections, views);
  for (int i = 0; i < 100; ++i) CHECK(at_once.place() == 3);
  views[3].ramp = 50;
  Stage eased(Policy::least_connections, views);
  for (int i = 0; i < 700; ++i) eased.place();
  CHECK(eased.views[3].sessions == doctest::Approx(100).epsilon(0.03));
  // Evening out is slow anyway: it gives it what it lacks.
  CHECK(eased.pick({std::nullopt, {}, Purpose::even_out}) == 3);
}

TEST_CASE("nobody but fresh backends: they share everything") {
  std::vector<View> views(3, View{0, 1, true, false, 10});
  Stage stage(Policy::least_connections, views);
  for (int i = 0; i < 300; ++i) REQUIRE(stage.place().has_value());
  for (const View& view : stage.views) CHECK(view.sessions == 100);
}

TEST_CASE("backups get sessions when no primary is eligible, and not because the primaries are full") {
  for (const Policy policy : all_policies) {
    CAPTURE(static_cast<int>(policy));
    Stage stage(policy, std::vector<View>(4));
    stage.members[2].rank = stage.members[3].rank = Rank::backup;
    stage.renew();
    const auto picked = [&](const Wish& wish) {
      std::vector<std::size_t> found;
      for (std::uint64_t i = 0; i < 200; ++i) {
        Wish with_key = wish;
        with_key.key = i;
        const auto index = stage.pick(with_key);
        if (index && std::ranges::find(found, *index) == found.end()) found.push_back(*index);
      }
      std::ranges::sort(found);
      return found;
    };
    using Found = std::vector<std::size_t>;
    CHECK(picked({}) == Found{0, 1});
    CHECK(stage.picker.takes_part(0));
    CHECK_FALSE(stage.picker.takes_part(2));
    stage.views[0].full = stage.views[1].full = true;
    CHECK(picked({}).empty());
    stage.views[0].full = stage.views[1].full = false;
    // Thrown back by all primaries: a backup is better than none. To even out, no.
    const std::size_t both[] = {0, 1};
    CHECK(picked({std::nullopt, both}) == Found{2, 3});
    CHECK(picked({std::nullopt, both, Purpose::even_out}).empty());
    CHECK(picked({std::nullopt, std::span(both, 1)}) == Found{1});
    stage.views[0].eligible = stage.views[1].eligible = false;
    stage.renew();
    CHECK(picked({}) == Found{2, 3});
    CHECK(stage.picker.takes_part(2));
    stage.views[1].eligible = true;
    stage.renew();
    CHECK(picked({}) == Found{1});
  }
}

// The share of 20,000 picks that stays in the own zone.
double share_at_home(Stage& stage) {
  int own = 0;
  for (std::uint64_t i = 0; i < 20'000; ++i)
    own += stage.members[*stage.pick({mixed(i)})].zone == Zone::own ? 1 : 0;
  return own / 20'000.0;
}

TEST_CASE("the own zone gets all while enough of it is eligible, then so many fewer") {
  for (const Policy policy : all_policies) {
    CAPTURE(static_cast<int>(policy));
    Stage stage(policy, std::vector<View>(20));
    for (std::size_t n = 10; n < 20; ++n) stage.members[n].zone = Zone::other;
    stage.rules.zone_min_percent = 70;
    stage.renew();
    CHECK(share_at_home(stage) == 1);
    for (std::size_t n = 0; n < 3; ++n) stage.views[n].eligible = false;
    stage.renew();
    CHECK(share_at_home(stage) == 1);  // seven of ten
    CHECK_FALSE(stage.picker.takes_part(15));
    for (std::size_t n = 3; n < 6; ++n) stage.views[n].eligible = false;
    stage.renew();
    CHECK(share_at_home(stage) == doctest::Approx(40.0 / 70).epsilon(0.03));
    CHECK(stage.picker.takes_part(15));
    for (std::size_t n = 6; n < 10; ++n) stage.views[n].eligible = false;
    stage.renew();
    CHECK(share_at_home(stage) == 0);
    // Who finds the zone full goes to another.
    for (std::size_t n = 0; n < 10; ++n) stage.views[n] = {0, 1, true, true};
    stage.renew();
    CHECK(share_at_home(stage) == 0);
  }
}

TEST_CASE("a place is had exactly when a pick finds one") {
  Rng rng(world_seed());
  INFO("HOLDFAST_TEST_SEED=" << world_seed());
  for (int round = 0; round < 5'000; ++round) {
    const World world = random_world(rng);
    Stage stage(Policy::least_connections, world.views);
    for (Member& member : stage.members) {
      member.rank = rng() % 3 == 0 ? Rank::backup : Rank::primary;
      member.zone = rng() % 3 == 0 ? Zone::other : Zone::own;
    }
    stage.renew();
    const Wish wish{rng(), world.exclude, rng() % 2 == 0 ? Purpose::even_out : Purpose::needs_place};
    REQUIRE(stage.picker.has_place(stage, wish) == stage.pick(wish).has_value());
  }
}

}  // namespace
}  // namespace holdfast::balance
