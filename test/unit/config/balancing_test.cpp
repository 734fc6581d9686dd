// What upstreams say about how a backend is found, and the combinations that do less than they seem to.
#include <doctest/doctest.h>

#include "holdfast/config/diff.hpp"
#include "unit/config/fake_world.hpp"

namespace holdfast::config::test {
namespace {

// A file whose one upstream has these keys; `backend`: more keys of its first backend.
LoadResult load(const std::string& keys, const std::string& backend = "", const std::string& top = "") {
  FakeWorld world;
  world.files = {{"/etc/holdfast/secret", "  0123456789abcdef\n"},
                 {"/etc/holdfast/short", "0123456789abcde"}};
  return world.load("{" + top + R"("listeners": [{"bind": "127.0.0.1:8080"}], "upstreams": [{"name": "u",)" +
                    keys + R"("backends": [{"address": "127.0.0.1:1")" + backend +
                    R"(}, {"address": "127.0.0.1:2"}]}]})");
}

Upstream loaded(const std::string& keys) {
  const LoadResult result = load(keys);
  REQUIRE_MESSAGE(result.config, check_report(result));
  return result.config->upstreams.at(0);
}

std::vector<std::string> warnings_of(const LoadResult& result) {
  REQUIRE_MESSAGE(result.config, check_report(result));
  std::vector<std::string> places;
  for (const Problem& warning : result.warnings) places.push_back(warning.place);
  return places;
}

using Places = std::vector<std::string>;

TEST_CASE("every policy is read and written as the same words") {
  for (const char* const text : {"least_connections", "round_robin", "two_choices", "random", "hash:ip",
                                 "hash:header:X-User", "hash:cookie:sid", "hash:query:room", "hash:path"}) {
    CHECK(to_string(loaded("\"policy\": \"" + std::string(text) + "\",").policy) == text);
  }
  CHECK(to_string(loaded("").policy) == "least_connections");
}

TEST_CASE("a policy that there isn't is refused with all that there are") {
  for (const char* const text : {"hash", "hash:", "hash:ip:x", "hash:path:x", "hash:header", "hash:cookie",
                                 "hash:uri", "leastconn", "Random", ""}) {
    CAPTURE(text);
    const std::string why =
        what_at(load("\"policy\": \"" + std::string(text) + "\","), "upstreams[0].policy");
    CHECK(contains(why, "must be one of \"least_connections\""));
    CHECK(contains(why, "\"hash:query:NAME\""));
  }
  for (const char* const name : {"", "a b", "a:b", "a;b", "a=b", "ü"}) {
    CAPTURE(name);
    const std::string keys = "\"policy\": \"hash:cookie:" + std::string(name) + "\",";
    CHECK(contains(what_at(load(keys), "upstreams[0].policy"), "must have a name of 1 to 64"));
  }
  CHECK(contains(what_at(load(R"("policy": "two_choice",)"), "upstreams[0].policy"),
                 "did you mean \"two_choices\"?"));
}

TEST_CASE("balancing keys have the documented defaults") {
  const Upstream u = loaded("");
  CHECK(u.hash_balance_factor == 125);
  CHECK_FALSE(u.sticky.has_value());
  CHECK(u.slow_start.count() == 0);
  CHECK(u.queue == Queue{0, std::chrono::seconds(5)});
  CHECK(u.zone_min_percent == 70);
  CHECK(u.backends[0].rank == BackendConfig::Rank::primary);
  CHECK(u.backends[0].zone.empty());
  CHECK(loaded(R"("sticky": {},)").sticky == Sticky{});
  CHECK(Sticky{}.cookie == "hf_backend");
  CHECK(Sticky{}.ttl == std::chrono::hours(1));
}

TEST_CASE("balancing keys are taken as they are written") {
  const LoadResult result = load(
      R"("policy": "hash:ip", "hash_balance_factor": "off", "slow_start": "30s", "zone_min_percent": 0,
         "sticky": {"cookie": "s", "ttl": 0, "same_site": "none", "secret_file": "secret"},
         "queue": {"length": 7, "timeout": "1s"},)",
      R"(, "backup": true, "zone": "a", "max_sessions": 5)", R"("zone": "a",)");
  REQUIRE_MESSAGE(result.config, check_report(result));
  CHECK(result.config->zone == "a");
  const Upstream& u = result.config->upstreams[0];
  CHECK(u.hash_balance_factor == 0);
  CHECK(u.slow_start == std::chrono::seconds(30));
  CHECK(u.zone_min_percent == 0);
  CHECK(u.sticky ==
        Sticky{"s", std::chrono::seconds(0), SameSite::none, "/etc/holdfast/secret", "0123456789abcdef"});
  CHECK(u.queue == Queue{7, std::chrono::seconds(1)});
  CHECK(u.backends[0].rank == BackendConfig::Rank::backup);
  CHECK(u.backends[0].zone == "a");
}

TEST_CASE("values out of range are refused, each with what is allowed") {
  const struct {
    const char* keys;
    const char* place;
    const char* what;
  } cases[] = {
      {R"("hash_balance_factor": 100,)", "upstreams[0].hash_balance_factor", "from 101 to 10000 or \"off\""},
      {R"("hash_balance_factor": 0,)", "upstreams[0].hash_balance_factor", "from 101 to 10000 or \"off\""},
      {R"("slow_start": "99ms",)", "upstreams[0].slow_start", "from 100ms to 1h or 0"},
      {R"("queue": {"length": 100001},)", "upstreams[0].queue.length", "from 0 to 100000"},
      {R"("queue": {"timeout": 0},)", "upstreams[0].queue.timeout", "from 10ms to 10m"},
      {R"("zone_min_percent": 101,)", "upstreams[0].zone_min_percent", "from 0 to 100"},
      {R"("sticky": {"cookie": "a=b"},)", "upstreams[0].sticky.cookie", "must be 1 to 64 letters"},
      {R"("sticky": {"ttl": "500ms"},)", "upstreams[0].sticky.ttl", "from 1s to 9600h or 0"},
      {R"("sticky": {"same_site": "Lax"},)", "upstreams[0].sticky.same_site",
       "\"strict\", \"lax\", \"none\""},
      {R"("sticky": {"secret_file": "short"},)", "upstreams[0].sticky.secret_file", "at least 16 bytes"},
      {R"("sticky": {"secret_file": "none"},)", "upstreams[0].sticky.secret_file", "can't be read"},
  };
  for (const auto& [keys, place, what] : cases) {
    CAPTURE(keys);
    CHECK(contains(what_at(load(keys), place), what));
  }
  CHECK(
      contains(what_at(load("", R"(, "zone": "a b")"), "upstreams[0].backends[0].zone"), "must be up to 64"));
  CHECK(contains(what_at(load("", "", R"("zone": "a/b",)"), "zone"), "must be up to 64"));
  CHECK(contains(what_at(load("", R"(, "backup": 1)"), "upstreams[0].backends[0].backup"), "true or false"));
}

TEST_CASE("combinations that do less than they seem to are warnings") {
  CHECK(warnings_of(load("")).empty());
  CHECK(warnings_of(load(R"("policy": "hash:ip", "sticky": {},)")) == Places{"upstreams[0].sticky"});
  CHECK(warnings_of(load(R"("policy": "hash:cookie:hf_backend", "sticky": {},)")) ==
        Places{"upstreams[0].policy"});
  CHECK(warnings_of(load(R"("policy": "round_robin", "sticky": {},)")).empty());
  CHECK(warnings_of(load(R"("policy": "hash:path", "rebalance": {"threshold": 10},)")) ==
        Places{"upstreams[0].rebalance"});
  CHECK(warnings_of(load(R"("queue": {"length": 1},)")) == Places{"upstreams[0].queue"});
  CHECK(warnings_of(load(R"("queue": {"length": 1, "timeout": "15s"},)", R"(, "max_sessions": 1)")) ==
        Places{"upstreams[0].queue.timeout"});
  CHECK(warnings_of(load(R"("queue": {"length": 1},)", R"(, "max_sessions": 1)")).empty());
  CHECK(warnings_of(load("", R"(, "zone": "a")")) == Places{"upstreams[0].backends"});
  CHECK(warnings_of(load("", R"(, "zone": "a")", R"("zone": "b",)")) == Places{"upstreams[0].backends"});
  CHECK(warnings_of(load("", R"(, "zone": "a")", R"("zone": "a",)")).empty());
  CHECK(warnings_of(load("", R"(, "backup": true)")).empty());
  FakeWorld world;
  const auto only_backups = world.load(R"({"listeners": [{"bind": "127.0.0.1:8080"}], "upstreams": [
    {"name": "u", "backends": [{"address": "127.0.0.1:1", "backup": true}]}]})");
  const auto two_cookies = world.load(R"({"listeners": [{"bind": "127.0.0.1:8080"}],
    "routes": [{"path": "/v", "upstream": "v"}, {"upstream": "u"}], "upstreams": [
    {"name": "u", "sticky": {}, "backends": [{"address": "127.0.0.1:1"}]},
    {"name": "v", "sticky": {}, "backends": [{"address": "127.0.0.1:1"}]}]})");
  CHECK(warnings_of(two_cookies) == Places{"upstreams[1].sticky.cookie"});
  CHECK(warnings_of(only_backups) == Places{"upstreams[0].backends"});
}

TEST_CASE("a reload names what has changed in balancing") {
  const Config before = *load("").config;
  Config now = before;
  now.zone = "a";
  Upstream& u = now.upstreams[0];
  u.policy = {PolicyKind::hash, HashOn::ip, ""};
  u.hash_balance_factor = 150;
  u.sticky.emplace();
  u.slow_start = std::chrono::seconds(1);
  u.queue.length = 1;
  u.zone_min_percent = 1;
  u.backends[0].rank = BackendConfig::Rank::backup;
  u.backends[0].zone = "a";
  std::vector<std::string> sentences;
  for (const Change& change : diff(before, now)) sentences.push_back(change.sentence);
  CHECK(sentences ==
        std::vector<std::string>{
            "setting zone changed",
            "upstream u changed: policy, hash_balance_factor, sticky, slow_start, queue, zone_min_percent",
            "backend u/127.0.0.1:1 changed: backup, zone",
        });
}

}  // namespace
}  // namespace holdfast::config::test
