#include <doctest/doctest.h>

#include "unit/config/fake_world.hpp"

namespace holdfast::config::test {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

TEST_CASE("a file with one bind and one upstream is complete and has the documented defaults") {
  FakeWorld world;
  const LoadResult result = world.load(with(""));
  REQUIRE(result.problems.empty());
  REQUIRE(result.config);
  CHECK(result.warnings.empty());
  const Config& config = *result.config;
  CHECK(config.workers == 0);
  CHECK(config.listeners.at(0).name == "127.0.0.1:8080");
  CHECK(config.listeners[0].max_sessions == 100'000);
  CHECK(config.listeners[0].bind.sockets.size() == 1);
  REQUIRE(config.routes.size() == 1);
  CHECK(config.routes[0].name == "default");
  CHECK(config.routes[0].upstream == "chat");
  CHECK(config.routes[0].max_message == 64ULL * 1024 * 1024);
  CHECK(config.routes[0].ping.interval == seconds(20));
  CHECK(config.upstreams.at(0).probe.type == ProbeType::tcp);
  CHECK(config.upstreams[0].setup_timeout == seconds(15));
  CHECK(config.upstreams[0].backends.at(0).weight == 1);
  REQUIRE(config.admin.bind);
  CHECK(config.admin.bind->text == "127.0.0.1:9900");
  CHECK(config.log.access == "-");
}

TEST_CASE("values of every type are read, comments are skipped") {
  FakeWorld world;
  const LoadResult result = world.load(R"({ // one
    "workers": 3, /* two */
    "listeners": [{"name": "in", "bind": "[::1]:0", "trusted_peers": ["10.0.0.0/8", "fd00::1"]}],
    "routes": [{"host": "*.example.com", "path": "/a/:id/*", "listeners": ["in"], "max_message": "2KiB",
                "max_message_to_client": 77, "idle_timeout": "5m", "max_age": 0, "ping": {"interval": 0}}],
    "upstreams": [{"name": "u", "policy": "round_robin", "tls": {"verify": false, "certificate": {}},
                   "backends": [{"address": "unix:run/b.sock", "weight": 0}],
                   "probe": {"type": "none"}, "outlier": {"consecutive_failures": 0}}],
    "admin": {"bind": ""}, "log": {"level": "warning", "format": "json", "access": "logs/access"},
    "shutdown_timeout": "1h"})");
  REQUIRE_MESSAGE(result.config, check_report(result));
  const Config& config = *result.config;
  CHECK(config.workers == 3);
  CHECK(config.listeners[0].trusted_peers.size() == 2);
  const Route& route = config.routes.at(0);
  CHECK(route.name == "*.example.com/a/:id/* on in");
  CHECK(route.upstream == "u");
  CHECK(route.max_message == 2048);
  CHECK(route.max_message_to_client == 77);
  CHECK(route.idle_timeout == minutes(5));
  CHECK(route.ping.interval == seconds(0));
  CHECK(route.ping.timeout == seconds(10));
  const Upstream& upstream = config.upstreams.at(0);
  CHECK(upstream.policy == Policy{PolicyKind::round_robin, {}, {}});
  REQUIRE(upstream.tls);
  CHECK(upstream.tls->verify == UpstreamTls::Verify::no);
  CHECK(upstream.tls->certificate.empty());
  CHECK(upstream.backends[0].address.path == "/etc/holdfast/run/b.sock");
  CHECK(upstream.backends[0].address.text == "unix:run/b.sock");
  CHECK(upstream.backends[0].weight == 0);
  CHECK_FALSE(config.admin.bind);
  CHECK(config.log.level == LogLevel::warning);
  CHECK(config.log.access == "/etc/holdfast/logs/access");
  CHECK(config.shutdown_timeout == minutes(60));
}

TEST_CASE("all errors are reported at once, each at its path with value and what is allowed") {
  FakeWorld world;
  const LoadResult result = world.load(R"({
    "workers": 0,
    "listeners": [{"bind": "nowhere", "handshake_timout": "1s"}, {"bind": 80}],
    "upstreams": [{"name": "a/b", "policy": "least_connection", "backends": [
        {"address": "127.0.0.1:1", "weight": 257}, {"weight": 1}, 5, {"address": "127.0.0.1:0"}],
      "connect_timeout": 250, "probe": {"rise": 0, "interval": "1x", "path": "a b"}, "tls": null}],
    "routes": [{"path": "chat", "host": "a:1", "max_message": "1kb", "idle_timeout": "10ms", "max_age": -1}],
    "shutdown_delay": "2h"})");
  CHECK_FALSE(result.config);
  CHECK(result.problems.size() == 21);
  CHECK(contains(what_at(result, "workers"), "is 0, must be an integer from 1 to 1024 or \"auto\""));
  CHECK(contains(what_at(result, "listeners[0].bind"), "is \"nowhere\", must be HOST:PORT"));
  CHECK(what_at(result, "listeners[0].handshake_timout") ==
        "is not a known key, did you mean \"handshake_timeout\"?");
  CHECK(what_at(result, "listeners[1].bind") == "is 80, must be a string");
  CHECK(contains(what_at(result, "upstreams[0].name"), "is \"a/b\", must be 1 to 64 letters"));
  CHECK(contains(what_at(result, "upstreams[0].policy"), "did you mean \"least_connections\"?"));
  CHECK(what_at(result, "upstreams[0].backends[0].weight") == "is 257, must be an integer from 0 to 256");
  CHECK(what_at(result, "upstreams[0].backends[1].address") == "is missing");
  CHECK(what_at(result, "upstreams[0].backends[2]") == "is 5, must be an object");
  CHECK(contains(what_at(result, "upstreams[0].backends[3].address"), "from 1 to 65535"));
  CHECK(contains(what_at(result, "upstreams[0].connect_timeout"),
                 "is 250, must be a duration from 10ms to 10m"));
  CHECK(contains(what_at(result, "upstreams[0].probe.interval"), "is \"1x\""));
  CHECK(contains(what_at(result, "upstreams[0].probe.rise"), "from 1 to 100"));
  CHECK(contains(what_at(result, "upstreams[0].probe.path"), "must begin with"));
  CHECK(what_at(result, "upstreams[0].tls") == "is null, must be an object");
  CHECK(contains(what_at(result, "routes[0].path"), "is \"chat\", must begin with \"/\""));
  CHECK(contains(what_at(result, "routes[0].host"), "without a port"));
  CHECK(contains(what_at(result, "routes[0].max_message"), "is \"1kb\", must be bytes"));
  CHECK(contains(what_at(result, "routes[0].idle_timeout"), "from 1s to 744h or 0"));
  CHECK(contains(what_at(result, "routes[0].max_age"), "is -1, must be a duration"));
  CHECK(contains(what_at(result, "shutdown_delay"), "from 0 to 1h"));
}

TEST_CASE("the report lists problems by place, numbers by value, and counts them") {
  FakeWorld world;
  std::string backends;
  for (int i = 0; i < 11; ++i) backends += i == 0 ? "1" : ",1";
  const std::string report =
      check_report(world.load(R"({"upstreams": [{"name": "u", "backends": [)" + backends +
                              R"(]}], "listeners": [{"bind": "127.0.0.1:1"}]})"));
  CHECK(report.find("backends[2]") < report.find("backends[10]"));
  CHECK(contains(report, "/etc/holdfast/holdfast.json: upstreams[0].backends[0]: is 1, must be an object\n"));
  CHECK(contains(report, "\n11 errors\n"));
  CHECK(check_report(world.load(with(""))) ==
        "/etc/holdfast/holdfast.json is valid: 1 listener, 1 route, 1 upstream, 1 backend\n");
}

TEST_CASE("keys of later versions are refused by a message of their own") {
  FakeWorld world;
  const LoadResult result = world.load(with(R"("upgrade_timeout": "1h",
      "routes": [{"request_id": true}],)"));
  CHECK(result.problems.size() == 2);
  for (const char* place : {"upgrade_timeout", "routes[0].request_id"}) {
    CHECK(what_at(result, place) == "is not available in this version");
  }
}

TEST_CASE("a key given twice in one object is an error, in two objects it is not") {
  FakeWorld world;
  const LoadResult twice = world.load(R"({"listeners": [{"bind": "127.0.0.1:1"}], "upstreams": [
      {"name": "u", "backends": [{"address": "127.0.0.1:1"}, {"address": "127.0.0.1:2", "address": "127.0.0.1:3"}]}]})");
  CHECK(twice.problems.size() == 1);
  CHECK(what_at(twice, "upstreams[0].backends[1].address") == "is given twice in one object");
}

TEST_CASE("names, sockets and addresses must differ") {
  FakeWorld world;
  const LoadResult result = world.load(R"({
    "listeners": [{"bind": "0.0.0.0:80"}, {"bind": "*:80"}, {"name": "x", "bind": "127.0.0.1:0"},
                  {"name": "y", "bind": "127.0.0.1:0"}, {"name": "x", "bind": "127.0.0.1:81"}],
    "routes": [{"upstream": "u", "path": "/a"}, {"upstream": "u", "path": "/a"}],
    "upstreams": [{"name": "u", "backends": [{"address": "127.0.0.1:1"}, {"address": "127.0.0.1:1"}]},
                  {"name": "u", "backends": [{"address": "127.0.0.1:1"}]}],
    "admin": {"bind": "127.0.0.1:81"}})");
  CHECK(result.problems.size() == 6);
  CHECK(what_at(result, "listeners[1].bind") == "is \"*:80\", the same socket as listeners[0].bind");
}

TEST_CASE("a reference to a name that is not there suggests the nearest") {
  FakeWorld world;
  const LoadResult result = world.load(R"({
    "listeners": [{"name": "public", "bind": "127.0.0.1:80"}],
    "routes": [{"upstream": "chatt", "listeners": ["publik", "public"]}, {"path": "/x"}],
    "upstreams": [{"name": "chat", "backends": [{"address": "127.0.0.1:1"}]},
                  {"name": "echo", "backends": [{"address": "127.0.0.1:1"}]}]})");
  CHECK(result.problems.size() == 3);
  CHECK(
      contains(what_at(result, "routes[0].upstream"), "not the name of an upstream, did you mean \"chat\"?"));
  CHECK(contains(what_at(result, "routes[0].listeners[0]"), "did you mean \"public\"?"));
  CHECK(contains(what_at(result, "routes[1].upstream"), "there are several upstreams"));
}

TEST_CASE("several upstreams and no routes is an error") {
  FakeWorld world;
  const LoadResult result = world.load(R"({"listeners": [{"bind": "127.0.0.1:80"}],
    "upstreams": [{"name": "a", "backends": [{"address": "127.0.0.1:1"}]},
                  {"name": "b", "backends": [{"address": "127.0.0.1:1"}]}]})");
  REQUIRE(result.problems.size() == 1);
  CHECK(result.problems[0].place == "routes");
}

TEST_CASE("routes behind a catch-all and unused upstreams are warnings") {
  FakeWorld world;
  const LoadResult result = world.load(R"({"listeners": [{"bind": "127.0.0.1:80"}],
    "routes": [{"upstream": "a", "path": "/*"}, {"upstream": "a", "path": "/b"}],
    "upstreams": [{"name": "a", "backends": [{"address": "127.0.0.1:1"}]},
                  {"name": "b", "backends": [{"address": "127.0.0.1:1"}]}]})");
  CHECK(result.config);
  REQUIRE(result.warnings.size() == 2);
  CHECK(result.warnings[0].place == "routes[1]");
  CHECK(result.warnings[1].place == "upstreams[1]");
}

}  // namespace
}  // namespace holdfast::config::test
