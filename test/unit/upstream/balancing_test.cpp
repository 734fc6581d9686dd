// What an upstream makes of its backends' states, weights and traits.
#include <doctest/doctest.h>

#include "holdfast/upstream/upstream.hpp"

namespace holdfast::upstream {
namespace {

using std::chrono::seconds;

struct Scene {
  explicit Scene(std::size_t count, Balancing how = {}) : balancing(std::move(how)) {
    for (std::size_t n = 0; n < count; ++n)
      members.push_back(std::make_shared<Backend>(state, "10.0.0." + std::to_string(n) + ":1"));
  }
  [[nodiscard]] Upstream upstream() const { return {"u", balancing, {}, members, 42}; }

  std::shared_ptr<UpstreamState> state = std::make_shared<UpstreamState>("u");
  std::vector<std::shared_ptr<Backend>> members;
  Balancing balancing;
};

TEST_CASE("backends that share a state are sorted out anew whenever one of them changes") {
  Scene scene(2);
  const Upstream one = scene.upstream();
  CHECK(one.pick().has_value());
  scene.members[0]->set_health(Health::unhealthy);
  scene.members[1]->set_admin_state(AdminState::draining);
  CHECK_FALSE(one.pick().has_value());
  CHECK_FALSE(one.has_place({}));
  scene.members[0]->set_health(Health::healthy);
  CHECK(&one.pick()->backend() == scene.members[0].get());
  scene.members[0]->set_weight(0);
  CHECK_FALSE(one.pick().has_value());
  scene.members[0]->set_weight(2);
  CHECK(one.has_place({}));
}

TEST_CASE("an ejection takes a backend out, and its readmission brings it back eased in") {
  Scene scene(2);
  scene.balancing.slow_start = seconds(10);
  OutlierRules rules;
  rules.consecutive_failures = 1;
  rules.probing = Probing::off;
  const Upstream one("u", scene.balancing, rules, scene.members, 1);
  const TimePoint begun = Clock::now();
  one.failed(*scene.members[0], FailureKind::connect, "refused", begun);
  CHECK(scene.members[0]->ejected());
  for (int n = 0; n < 5; ++n) CHECK(&one.pick()->backend() == scene.members[1].get());
  CHECK(one.ramp(*scene.members[0], begun) == 100);
  one.outlier().tick(begun + seconds(31));
  CHECK(one.ramp(*scene.members[0], begun + seconds(31)) == 10);
  CHECK(one.ramp(*scene.members[0], begun + seconds(36)) == 55);
  CHECK(one.ramp(*scene.members[0], begun + seconds(41)) == 100);
}

TEST_CASE("a slow start begins when a backend becomes eligible, and at no other change") {
  Scene scene(1);
  scene.balancing.slow_start = seconds(10);
  const Upstream one = scene.upstream();
  Backend& backend = *scene.members[0];
  const TimePoint begun = Clock::now();
  // The first verdict of the probes is no return: it was usable before.
  backend.set_health(Health::healthy, begun);
  CHECK(one.ramp(backend, begun) == 100);
  backend.set_health(Health::unhealthy, begun);
  backend.set_admin_state(AdminState::draining, begun);
  backend.set_health(Health::healthy, begun);
  CHECK(one.ramp(backend, begun) == 100);
  backend.set_admin_state(AdminState::active, begun + seconds(1));
  CHECK(one.ramp(backend, begun + seconds(1)) == 10);
  backend.set_health(Health::healthy, begun + seconds(6));
  CHECK(one.ramp(backend, begun + seconds(6)) == 55);
  const Upstream without = Scene(1).upstream();
  CHECK(without.ramp(backend, begun + seconds(1)) == 100);
}

TEST_CASE("a sticky seat is had of eligible backends with room and weight only") {
  Scene scene(1);
  const Upstream one = scene.upstream();
  Backend& backend = *scene.members[0];
  CHECK(one.take(0).has_value());
  backend.set_weight(0);
  CHECK_FALSE(one.take(0).has_value());
  backend.set_weight(1);
  backend.set_max_sessions(1);
  const auto held = one.take(0);
  CHECK_FALSE(one.take(0).has_value());
  backend.set_max_sessions(0);
  backend.set_admin_state(AdminState::draining);
  CHECK_FALSE(one.take(0).has_value());
}

TEST_CASE("a backup takes a reroute whose primary was just lost, but no move that only evens out") {
  Scene scene(2);
  scene.balancing.traits = {{1, balance::Rank::primary, balance::Zone::own},
                            {1, balance::Rank::backup, balance::Zone::own}};
  const Upstream one = scene.upstream();
  CHECK(&one.pick()->backend() == scene.members[0].get());
  const Backend* const lost[] = {scene.members[0].get(), nullptr};
  CHECK(&one.pick_for_reroute(Wish{lost}, Clock::now()).seat->backend() == scene.members[1].get());
  const Wish evens_out{lost, std::nullopt, balance::Purpose::even_out};
  CHECK_FALSE(one.pick_for_reroute(evens_out, Clock::now()).seat.has_value());
  CHECK_FALSE(one.has_place(evens_out));
  CHECK(one.has_place({lost, std::nullopt}));
  CHECK(one.taking_part() == std::vector<char>{1, 0});
  scene.members[0]->set_health(Health::unhealthy);
  CHECK(one.taking_part() == std::vector<char>{0, 1});
}

TEST_CASE(
    "a key gets the same backend from two snapshots, and the next one for a reroute is a new session's, "
    "too") {
  Scene scene(5, balance::Policy::hash);
  const Upstream before = scene.upstream();
  const Upstream after = scene.upstream();
  for (std::uint64_t key = 0; key < 50; ++key) {
    const Backend* const owner = &before.pick(Wish{{}, key})->backend();
    CHECK(&after.pick(Wish{{}, key})->backend() == owner);
    const Backend* const lost[] = {owner};
    const Backend* const next = &after.pick_for_reroute(Wish{lost, key}, Clock::now()).seat->backend();
    CHECK(next != owner);
    const auto index = static_cast<std::size_t>(
        std::ranges::find(scene.members, owner, [](const auto& each) { return each.get(); }) -
        scene.members.begin());
    scene.members[index]->set_health(Health::unhealthy);
    CHECK(&before.pick(Wish{{}, key})->backend() == next);
    scene.members[index]->set_health(Health::healthy);
  }
}

}  // namespace
}  // namespace holdfast::upstream
