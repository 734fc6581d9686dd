// Limits of listeners, routes and upstreams: what is read, what is refused, what only seems to protect.
#include "holdfast/config/protection.hpp"

#include <doctest/doctest.h>

#include "config/socket_address.hpp"
#include "holdfast/config/diff.hpp"
#include "unit/config/fake_world.hpp"

namespace holdfast::config::test {
namespace {

LoadResult load(const std::string& listener, const std::string& route = "", const std::string& upstream = "",
                const std::string& bind = "127.0.0.1:1") {
  FakeWorld world;
  return world.load(
      R"({"listeners": [{"bind": ")" + bind + R"(")" + listener + R"(}], "routes": [{"name": "r")" + route +
      R"(}], "upstreams": [{"name": "u", "backends": [{"address": "127.0.0.1:2"}])" + upstream + "}]}");
}

const Config& loaded(const LoadResult& result) {
  REQUIRE_MESSAGE(result.config, check_report(result));
  return *result.config;
}

std::string warning_at(const LoadResult& result, const std::string& place) {
  for (const Problem& warning : result.warnings) {
    if (warning.place == place) return warning.what;
  }
  return {};
}

TEST_CASE("without any of the keys nothing is limited but what has a safe default") {
  const LoadResult result = load("");
  const Config& config = loaded(result);
  CHECK(result.warnings.empty());
  CHECK(config.listeners[0].protection == ListenerProtection{});
  CHECK_FALSE(config.listeners[0].protection.rate().is_limit());
  CHECK(config.routes[0].protection == RouteProtection{});
  CHECK(config.upstreams[0].circuit_breaker == CircuitBreaker{});
}

TEST_CASE("each key reaches its field") {
  const LoadResult result = load(
      R"(, "max_sessions_per_ip": 7, "max_handshakes_per_second": 100, "handshake_burst": 200,
          "max_handshakes_per_second_per_ip": 3, "handshake_burst_per_ip": 4,
          "allow": ["10.0.0.0/8", "fd00::/8"], "deny": ["10.1.0.0/16"])",
      R"(, "origins": ["https://a.example.com", "null"], "require_origin": true, "allow": ["192.0.2.1"],
          "deny": ["192.0.2.2"], "max_messages_per_second": 5, "message_burst": 6,
          "max_bytes_per_second": "8KiB", "byte_burst": "9KiB", "rate_mode": "close", "max_fragments": 10)",
      R"(, "circuit_breaker": {"max_sessions": 11, "max_pending": 12, "retry_percent": 0,
          "min_retries_per_second": 13})");
  const Config& config = loaded(result);
  CHECK(result.warnings.empty());
  const ListenerProtection& listener = config.listeners[0].protection;
  CHECK(listener.max_sessions_per_ip == 7);
  CHECK(listener.rate() == Rate{100, 200});
  CHECK(listener.rate_per_ip() == Rate{3, 4});
  CHECK(listener.access.allow.size() == 2);
  CHECK(listener.access.deny.size() == 1);
  const RouteProtection& route = config.routes[0].protection;
  CHECK(route.origins == std::vector<std::string>{"https://a.example.com", "null"});
  CHECK(route.require_origin == RouteProtection::Origin::required);
  CHECK(route.access.allow.size() == 1);
  CHECK(route.access.deny.size() == 1);
  CHECK(route.max_messages_per_second == 5);
  CHECK(route.message_burst == 6);
  CHECK(route.max_bytes_per_second == 8192);
  CHECK(route.byte_burst == 9216);
  CHECK(route.rate_mode == RateMode::close);
  CHECK(route.max_fragments == 10);
  CHECK(config.upstreams[0].circuit_breaker == CircuitBreaker{11, 12, 0, 13});
}

TEST_CASE("what is not allowed is refused with its place and what is") {
  struct Row {
    const char* listener;
    const char* route;
    const char* upstream;
    const char* place;
    const char* what;
  };
  for (const Row& row : {
           Row{R"(, "max_sessions_per_ip": -1)", "", "", "listeners[0].max_sessions_per_ip",
               "0 to 1000000000"},
           Row{R"(, "max_handshakes_per_second": 1000001)", "", "", "listeners[0].max_handshakes_per_second",
               "0 to 1000000"},
           Row{R"(, "allow": [])", "", "", "listeners[0].allow", "a list of 1 to 1000"},
           Row{R"(, "deny": ["10.0.0.1/8"])", "", "", "listeners[0].deny[0]", "no bits behind the prefix"},
           Row{"", R"(, "origins": [])", "", "routes[0].origins", "a list of 1 to 1000"},
           Row{"", R"(, "origins": ["null", "https://a/"])", "", "routes[0].origins[1]", "must be an origin"},
           Row{"", R"(, "rate_mode": "drop")", "", "routes[0].rate_mode", R"("pause", "close")"},
           Row{"", R"(, "max_bytes_per_second": "2TiB")", "", "routes[0].max_bytes_per_second", "1TiB"},
           Row{"", R"(, "max_messages_per_secnd": 1)", "", "routes[0].max_messages_per_secnd",
               "did you mean"},
           Row{"", "", R"(, "circuit_breaker": {"retry_percent": 101})",
               "upstreams[0].circuit_breaker.retry_percent", "0 to 100"},
       }) {
    CAPTURE(row.place);
    const LoadResult result = load(row.listener, row.route, row.upstream);
    CHECK_FALSE(result.config);
    CHECK_MESSAGE(contains(what_at(result, row.place), row.what), check_report(result));
  }
}

TEST_CASE("limits that mean nothing are warned of") {
  const LoadResult bursts = load(R"(, "handshake_burst": 1, "handshake_burst_per_ip": 1)",
                                 R"(, "message_burst": 1, "byte_burst": 1, "rate_mode": "close")");
  (void)loaded(bursts);
  for (const char* place : {"listeners[0].handshake_burst", "listeners[0].handshake_burst_per_ip",
                            "routes[0].message_burst", "routes[0].byte_burst", "routes[0].rate_mode"}) {
    CAPTURE(place);
    CHECK(contains(warning_at(bursts, place), "means nothing without"));
  }
  CHECK(contains(warning_at(load(R"(, "max_sessions_per_ip": 1)", "", "", "unix:/s"), "listeners[0]"),
                 "unix socket"));
  CHECK(load(R"(, "max_sessions_per_ip": 1, "proxy_protocol": true)", "", "", "unix:/s").warnings.empty());
  CHECK(contains(
      warning_at(load(R"(, "max_sessions_per_ip": 1, "trusted_peers": ["10.0.0.1"])"), "listeners[0]"),
      "count as the proxy"));
  CHECK(contains(
      warning_at(load(R"(, "allow": ["::1", "10.0.0.1"], "deny": ["10.0.0.1"])"), "listeners[0].allow[1]"),
      "goes first"));
}

SocketAddress address(const std::string& text) {
  return *numeric_socket(text, 1);
}

TEST_CASE("deny goes before allow, and with allow everybody else is out") {
  const LoadResult result =
      load(R"(, "allow": ["10.0.0.0/8", "2001:db8::/32"], "deny": ["10.9.0.0/16", "2001:db8:1::/48"])",
           R"(, "deny": ["192.0.2.0/24"])");
  const Access& listener = loaded(result).listeners[0].protection.access;
  CHECK(listener.admits(address("10.1.2.3")));
  CHECK(listener.admits(address("::ffff:10.1.2.3")));
  CHECK_FALSE(listener.admits(address("10.9.2.3")));
  CHECK_FALSE(listener.admits(address("::ffff:10.9.2.3")));
  CHECK_FALSE(listener.admits(address("11.0.0.1")));
  CHECK(listener.admits(address("2001:db8:2::1")));
  CHECK_FALSE(listener.admits(address("2001:db8:1::1")));
  CHECK_FALSE(listener.admits(address("::1")));
  SocketAddress unix_client;
  unix_client.storage.ss_family = AF_UNIX;
  CHECK(listener.admits(unix_client));
  const Access& route = loaded(result).routes[0].protection.access;
  CHECK(route.admits(address("10.1.2.3")));
  CHECK_FALSE(route.admits(address("192.0.2.77")));
  CHECK(Access{}.admits(address("192.0.2.77")));
}

TEST_CASE("a reload tells that limits have changed") {
  const Config old = loaded(load(""));
  const Config now = loaded(
      load(R"(, "deny": ["::1"])", R"(, "max_fragments": 1)", R"(, "circuit_breaker": {"max_pending": 1})"));
  std::string told;
  for (const Change& change : diff(old, now)) told += change.sentence + "\n";
  CHECK(told ==
        "listener 127.0.0.1:1 changed: limits by address or rate\n"
        "upstream u changed: circuit_breaker\n"
        "route r changed: origins, access or rates\n");
}

}  // namespace
}  // namespace holdfast::config::test
