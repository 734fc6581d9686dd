#include "holdfast/config/diff.hpp"

#include <doctest/doctest.h>

#include "unit/config/fake_world.hpp"

namespace holdfast::config::test {
namespace {

Config base() {
  FakeWorld world;
  const LoadResult result = world.load(R"({
    "listeners": [{"name": "a", "bind": "127.0.0.1:1"}, {"name": "b", "bind": "127.0.0.1:2"}],
    "routes": [{"name": "r1", "path": "/1", "upstream": "u"}, {"name": "r2", "upstream": "v"}],
    "upstreams": [{"name": "u", "backends": [{"address": "127.0.0.1:11"}, {"address": "127.0.0.1:12"}]},
                  {"name": "v", "backends": [{"address": "127.0.0.1:11"}]}]})");
  REQUIRE_MESSAGE(result.config, check_report(result));
  return *result.config;
}

TEST_CASE("equal configurations have no changes") {
  const auto changes = diff(base(), base());
  CHECK(changes.empty());
  CHECK(summary(changes) == "no changes");
}

TEST_CASE("each kind of change is one sentence") {
  Config now = base();
  now.workers = 4;
  now.log.level = LogLevel::debug;
  now.listeners[0].max_sessions = 7;
  now.listeners.pop_back();
  now.routes[0].upstream = "v";
  now.upstreams[0].backends[0].weight = 3;
  now.upstreams[0].backends.pop_back();
  now.upstreams[0].probe.rise = 9;
  now.upstreams[0].move_rate = 1;
  now.upstreams[0].reroute_rate = 1;
  now.upstreams[0].rebalance.threshold = 10;
  now.routes[0].reroute.attempts = 1;
  now.limits.hold_memory = 1ULL << 20;
  std::vector<std::string> sentences;
  for (const Change& change : diff(base(), now)) sentences.push_back(change.sentence);
  CHECK(sentences == std::vector<std::string>{
                         "setting workers needs a restart",
                         "setting limits needs a restart",
                         "setting log changed",
                         "listener b removed",
                         "listener a changed: max_sessions",
                         "upstream u changed: move_rate, reroute_rate, rebalance, probe",
                         "backend u/127.0.0.1:12 removed",
                         "backend u/127.0.0.1:11 changed: weight",
                         "route r1 changed: upstream, reroute",
                     });
}

TEST_CASE("a new or removed upstream counts its backends") {
  Config now = base();
  now.upstreams.erase(now.upstreams.begin());
  const auto changes = diff(base(), now);
  CHECK(summary(changes) == "1 upstream removed, 2 backends removed");
  CHECK(summary(diff(now, base())) == "1 upstream added, 2 backends added");
  CHECK(count(changes, Thing::backend, ChangeKind::removed) == 2);
}

TEST_CASE("a renewed certificate is a change of tls although the file name stays") {
  Config old = base();
  old.listeners[0].tls.emplace().certificates.push_back({{"/c", "one"}, {"/k", "key"}});
  Config now = old;
  now.listeners[0].tls->certificates[0].chain.pem = "two";
  const auto changes = diff(old, now);
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].sentence == "listener a changed: tls");
}

TEST_CASE("the order of routes matters, the order of backends does not") {
  Config now = base();
  std::swap(now.routes[0], now.routes[1]);
  std::swap(now.upstreams[0].backends[0], now.upstreams[0].backends[1]);
  const auto changes = diff(base(), now);
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].sentence == "setting order of routes changed");
}

TEST_CASE("listeners on any free port are told apart by name") {
  Config old = base();
  std::string why;
  for (Listener& listener : old.listeners)
    listener.bind = *parse_address("127.0.0.1:0", AddressUse::bind, why);
  Config now = old;
  now.listeners.pop_back();
  const auto changes = diff(old, now);
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].sentence == "listener b removed");
}

}  // namespace
}  // namespace holdfast::config::test
