#include <doctest/doctest.h>

#include <set>
#include <string>

#include "holdfast/upstream/upstream.hpp"

namespace holdfast::upstream {
namespace {

std::vector<std::shared_ptr<Backend>> backends(std::size_t count) {
  std::vector<std::shared_ptr<Backend>> made;
  const auto state = std::make_shared<UpstreamState>("u");
  for (std::size_t n = 0; n < count; ++n) made.push_back(std::make_shared<Backend>(state, std::to_string(n)));
  return made;
}

Upstream upstream(std::vector<std::shared_ptr<Backend>> members, std::uint32_t panic_percent) {
  OutlierRules rules;
  rules.panic_percent = panic_percent;
  return {"u", balance::Policy::round_robin, rules, std::move(members), 42};
}

std::set<std::string> picked(const Upstream& from) {
  std::set<std::string> out;
  for (int n = 0; n < 40; ++n) {
    if (const auto seat = from.pick()) out.insert(seat->backend().address());
  }
  return out;
}

TEST_CASE("an upstream panics when fewer of its active backends are eligible than it wants") {
  struct Row {
    std::size_t members;
    std::size_t unhealthy;
    std::size_t drained;
    std::uint32_t percent;
    bool panics;
  };
  for (const Row& row :
       {Row{10, 9, 0, 10, false}, Row{10, 10, 0, 10, true}, Row{11, 10, 0, 10, true}, Row{1, 1, 0, 1, true},
        Row{4, 3, 0, 50, true}, Row{4, 2, 0, 50, false}, Row{4, 4, 0, 0, false}, Row{4, 2, 2, 50, true},
        Row{4, 0, 4, 50, false}, Row{4, 0, 3, 100, false}, Row{0, 0, 0, 100, false}}) {
    CAPTURE(row.members);
    CAPTURE(row.unhealthy);
    CAPTURE(row.percent);
    const auto members = backends(row.members);
    for (std::size_t n = 0; n < row.unhealthy; ++n) members[n]->set_health(Health::unhealthy);
    for (std::size_t n = 0; n < row.drained; ++n)
      members[row.members - 1 - n]->set_admin_state(AdminState::draining);
    CHECK(upstream(members, row.percent).panics() == row.panics);
  }
}

TEST_CASE("in a panic unhealthy and ejected backends are picked, drained and weightless ones never") {
  const auto members = backends(5);
  const Upstream one = upstream(members, 50);
  members[0]->set_health(Health::unhealthy);
  for (int n = 0; n < 5; ++n) one.failed(*members[1], FailureKind::timeout, "mute", Clock::now());
  REQUIRE(members[1]->ejected());
  members[3]->set_admin_state(AdminState::draining);
  members[4]->set_weight(0);
  // 1 of 3 is eligible.
  CHECK(one.panics());
  CHECK(picked(one) == std::set<std::string>{"0", "1", "2"});
  CHECK(picked(upstream(members, 0)) == std::set<std::string>{"2"});
  members[0]->set_health(Health::healthy);
  CHECK_FALSE(one.panics());
  CHECK(picked(one) == std::set<std::string>{"0", "2"});
}

TEST_CASE("in a panic lost sessions get any backend, moved ones only eligible ones, for their health none") {
  const auto members = backends(3);
  const Upstream one = upstream(members, 50);
  members[0]->set_health(Health::unhealthy);
  members[1]->set_health(Health::unhealthy);
  const Backend* const exclude[] = {members[2].get()};
  const auto find = [&](Cause cause, std::span<const Backend* const> but = {}) {
    return one.pick_for_reroute(Wish{but}, Clock::now(), cause).seat.has_value();
  };
  CHECK(find(Cause::lost, exclude));
  CHECK(find(Cause::closing, exclude));
  CHECK_FALSE(find(Cause::draining, exclude));
  CHECK(find(Cause::draining));
  CHECK_FALSE(find(Cause::unhealthy));
  CHECK_FALSE(one.has_place(Wish{exclude}));
  members[0]->set_health(Health::healthy);
  CHECK(find(Cause::unhealthy));
}

}  // namespace
}  // namespace holdfast::upstream
