// Which orders the control thread gives when backends go, come back, or have too much.
#include "server/movements.hpp"

#include <doctest/doctest.h>

namespace holdfast::server::test {
namespace {

using std::chrono::seconds;
using Strings = std::vector<std::string>;

// Two upstreams at most; backends are found again by address, as the registry does.
class Setting {
 public:
  std::shared_ptr<upstream::Backend> backend(const std::string& address, const std::string& of = "chat") {
    auto& found = backends_[of + "/" + address];
    if (!found) found = std::make_shared<upstream::Backend>(of, address);
    return found;
  }

  // Sessions come and go.
  void sit(const std::string& address, int count) {
    for (int n = 0; n < count; ++n) seats_[address].push_back(*upstream::Seat::take(backend(address)));
  }
  void go(const std::string& address, int count) {
    for (int n = 0; n < count; ++n) seats_[address].pop_back();
  }
  // As a session does that moves: its old leg goes when the new one is there.
  void move(const std::string& from, const std::string& to, int count) {
    sit(to, count);
    go(from, count);
    for (int n = 0; n < count; ++n) backend(from)->count_reroute_from();
  }

  void serve(const Strings& addresses, config::Rebalance rebalance = {}) {
    movements.apply({destination("chat", addresses, rebalance)}, now);
  }
  void serve_both(const Strings& chat, const Strings& news) {
    movements.apply({destination("chat", chat, {}), destination("news", news, {})}, now);
  }
  std::shared_ptr<const dial::Destination> destination(const std::string& name, const Strings& addresses,
                                                       config::Rebalance rebalance) {
    auto out = std::make_shared<dial::Destination>();
    out->settings.name = name;
    out->settings.rebalance = rebalance;
    std::vector<std::shared_ptr<upstream::Backend>> members;
    for (const std::string& address : addresses) members.push_back(backend(address, name));
    out->upstream = std::make_shared<const upstream::Upstream>(
        name, balance::Policy::least_connections, upstream::OutlierRules{}, std::move(members), 1);
    return out;
  }

  void pass(seconds time) {
    for (seconds passed{0}; passed < time; passed += seconds(1)) {
      now += seconds(1);
      movements.tick(now);
    }
  }
  // What was told since the last call: "ADDRESS CAUSE MOST".
  Strings told() { return std::exchange(told_, {}); }

  TimePoint now{seconds(1000)};
  Movements movements{[this](const Movements::Backends& from, Cause cause, std::uint64_t most) {
    std::string addresses;
    for (const auto& backend : from) addresses += backend->address() + " ";
    told_.push_back(addresses + text(cause) + " " +
                    (most == Movements::everybody ? "all" : std::to_string(most)));
  }};

 private:
  std::map<std::string, std::shared_ptr<upstream::Backend>> backends_;
  std::map<std::string, std::vector<upstream::Seat>> seats_;
  Strings told_;
};

TEST_CASE("health and the operator make all sessions of a backend move at once") {
  Setting all;
  all.serve({"a", "b"});
  all.movements.leaves(all.backend("a"), Cause::unhealthy);
  all.movements.leaves(all.backend("b"), Cause::disabled);
  CHECK(all.told() == Strings{"a unhealthy all", "b disabled all"});
}

TEST_CASE("a backend that a reload takes away is told to go; one of an upstream that went, too, is not") {
  Setting all;
  all.serve_both({"a", "b"}, {"n"});
  all.sit("a", 1);
  all.serve({"b", "c"});
  CHECK(all.told() == Strings{"a removed all"});
}

TEST_CASE("what a reload takes away is told in one order, without the backends that have no sessions") {
  Setting all;
  all.serve({"a", "b", "c", "d"});
  all.sit("a", 1);
  all.sit("c", 2);
  all.serve({"d"});
  CHECK(all.told() == Strings{"a c removed all"});
  all.sit("b", 1);  // a handshake that was under way
  all.pass(seconds(1));
  CHECK(all.told() == Strings{"a b c removed all"});
}

TEST_CASE(
    "sessions that come late to a removed backend are told again, ever more seldom, until none is left") {
  Setting all;
  all.serve({"a", "b"});
  all.sit("a", 2);
  all.serve({"b"});
  CHECK(all.told() == Strings{"a removed all"});
  all.pass(seconds(10));
  CHECK(all.told().size() == 3);  // after 1, 3 and 7 s
  all.go("a", 2);
  all.pass(seconds(300));
  CHECK(all.told().empty());
  // Long enough for any handshake to have come or failed: forgotten.
  all.sit("a", 1);
  all.pass(seconds(300));
  CHECK(all.told().empty());
}

TEST_CASE("a removed backend that the next reload brings back keeps its sessions") {
  Setting all;
  all.serve({"a", "b"});
  all.sit("a", 1);
  all.serve({"b"});
  all.serve({"a", "b"});
  CHECK(all.told() == Strings{"a removed all"});
  all.pass(seconds(300));
  CHECK(all.told().empty());
}

TEST_CASE("whoever found nobody to go to gets another chance when somebody comes") {
  Setting all;
  all.serve({"sick", "drained", "off", "idle", "new"});
  for (const char* address : {"sick", "drained", "off"}) all.sit(address, 1);
  all.backend("sick")->set_health(upstream::Health::unhealthy);
  all.backend("drained")->set_admin_state(upstream::AdminState::draining);
  all.backend("off")->set_admin_state(upstream::AdminState::disabled);
  all.backend("idle")->set_health(upstream::Health::unhealthy);  // nobody is there
  all.pass(seconds(1));
  (void)all.told();
  all.pass(seconds(60));
  CHECK(all.told().empty());
  all.movements.comes(*all.backend("new"));
  all.pass(seconds(1));
  CHECK(all.told() == Strings{"sick unhealthy all", "drained draining all", "off disabled all"});
  all.pass(seconds(60));
  CHECK(all.told().empty());
}

TEST_CASE("without a threshold nothing is evened out by itself") {
  Setting all;
  all.sit("a", 100);
  all.serve({"a", "b"});
  all.movements.comes(*all.backend("b"));
  all.pass(seconds(60));
  CHECK(all.told().empty());
}

TEST_CASE("sessions are evened out at the given rate until nobody is above the threshold") {
  Setting all;
  all.sit("a", 100);
  all.serve({"a", "b"}, {10, 20});
  // Mean 50, 55 may stay.
  for (const char* expected : {"20", "20", "5"}) {
    all.pass(seconds(1));
    const Strings told = all.told();
    REQUIRE(told == Strings{std::string("a rebalance ") + expected});
    all.move("a", "b", std::stoi(expected));
  }
  all.pass(seconds(60));
  CHECK(all.told().empty());
  CHECK(all.backend("a")->sessions() == 55);
}

TEST_CASE("the rate is one for all backends of an upstream together") {
  Setting all;
  all.sit("a", 100);
  all.sit("b", 100);
  all.serve({"a", "b", "c"}, {10, 30});
  all.pass(seconds(1));
  CHECK(all.told() == Strings{"a rebalance 27", "b rebalance 3"});  // 73 of 66.7 may stay
}

TEST_CASE("what was asked for is not asked again while the moves are under way") {
  Setting all;
  all.sit("a", 100);
  all.serve({"a", "b"}, {10, 1000});
  all.pass(seconds(1));
  CHECK(all.told() == Strings{"a rebalance 45"});
  all.sit("b", 45);  // the new legs are there, the old ones still wait for their Close
  all.pass(seconds(5));
  CHECK(all.told().empty());
  all.go("a", 45);
  all.pass(seconds(10));
  CHECK(all.told().empty());
}

TEST_CASE("moves that don't happen are asked for again, and given up after a while") {
  Setting all;
  all.sit("a", 100);
  all.serve({"a", "b"}, {10, 1000});
  all.pass(seconds(300));
  const Strings told = all.told();
  CHECK(told.size() >= 2);
  CHECK(told.size() <= 4);
  // Until something changes.
  all.movements.comes(*all.backend("b"));
  all.pass(seconds(1));
  CHECK(all.told() == Strings{"a rebalance 45"});
}

TEST_CASE("only backends that take sessions count, and only they give") {
  Setting all;
  all.sit("a", 60);
  all.sit("down", 500);
  all.backend("down")->set_health(upstream::Health::unhealthy);
  all.serve({"a", "b", "down"}, {10, 1000});
  all.pass(seconds(1));
  CHECK(all.told() == Strings{"down unhealthy all", "a rebalance 27"});
}

TEST_CASE("a rebalance on request tells what it will do and then does it") {
  Setting all;
  all.sit("a", 100);
  all.serve({"a", "b"});
  const auto excess = all.movements.rebalance("chat", all.now);
  REQUIRE(excess);
  REQUIRE(excess->size() == 2);
  CHECK(excess->at(0).backend == "a");
  CHECK(excess->at(0).sessions == 45);  // 10 % above the mean may stay
  CHECK(excess->at(1).sessions == 0);
  all.pass(seconds(1));
  CHECK(all.told() == Strings{"a rebalance 45"});
  CHECK_FALSE(all.movements.rebalance("nobody", all.now));
}

TEST_CASE("the threshold of the config holds for requests, too") {
  Setting all;
  all.sit("a", 100);
  all.serve({"a", "b"}, {50, 100});
  CHECK(all.movements.rebalance("chat", all.now)->at(0).sessions == 25);
}

TEST_CASE("an upstream that goes while it is evened out is forgotten") {
  Setting all;
  all.sit("a", 100);
  all.serve({"a", "b"}, {10, 1});
  all.pass(seconds(1));
  CHECK(all.told().size() == 1);
  all.movements.apply({}, all.now);
  all.pass(seconds(60));
  CHECK(all.told().empty());
}

// Story: six reloads in a row, and a removed backend was forgotten with its counts and administrative state.
TEST_CASE("reloads in a row don't hasten the forgetting of a removed backend") {
  Setting all;
  all.serve({"a", "b"});
  all.serve({"b"});
  for (int reloads = 0; reloads < 10; ++reloads) {
    all.serve({"b"});
    all.pass(seconds(1));
  }
  (void)all.told();
  all.sit("a", 1);  // a handshake that was under way
  all.serve({"b"});
  all.pass(seconds(1));
  CHECK(all.told() == Strings{"a removed all"});
}

}  // namespace
}  // namespace holdfast::server::test
