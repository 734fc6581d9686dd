#include "server/status_text.hpp"

#include <doctest/doctest.h>

namespace holdfast::server {
namespace {

using nlohmann::json;

TEST_CASE("where nothing is wrong there are listeners, upstreams and backends only") {
  const json status = json::parse(R"({
    "version": "1.2", "generation": 3, "uptime_seconds": 60,
    "listeners": [{"name": "public", "bind": "0.0.0.0:80", "sessions": 7,
                   "protection": {"refusals": {"origin": 0, "denied": 0}}}],
    "routes": [{"name": "all", "auth": null},
               {"name": "b", "auth": {"tokens": {"accepted": 9, "expired": 0}, "forward": {"allowed": 1}}}],
    "upstreams": [{"name": "chat", "policy": "random", "panic": false, "dial_shortages_total": 0,
                   "circuit": {"breaks": {"sessions": 0}}, "queue": {"waiting": 0}, "discovery": {"error": ""},
                   "backends": [{"address": "10.0.0.1:1", "health": "healthy", "state": "active",
                                 "ejected": true, "sessions": 5, "last_error": "oops"}]}]})");
  CHECK(status_text(status) ==
        "holdfast 1.2, generation 3, up 60 s\n"
        "listener public               0.0.0.0:80                      7 sessions\n"
        "upstream chat (random)\n"
        "  10.0.0.1:1                       healthy    active    ejected        5 sessions  oops\n");
}

TEST_CASE("refusals are told with their reasons, and everything else that is wrong") {
  const json status = json::parse(R"({
    "listeners": [{"name": "public", "protection": {"refusals": {"denied": 2, "limit": 0, "origin": 1}}}],
    "routes": [{"name": "all", "auth": {"tokens": {"accepted": 9, "expired": 4}, "forward": {"timeout": 3}}}],
    "upstreams": [{"name": "chat", "panic": true, "eligible": 0, "active": 3, "dial_shortages_total": 8,
                   "circuit": {"breaks": {"sessions": 6, "pending": 0}}, "queue": {"waiting": 5},
                   "discovery": {"error": "dns: Timeout"}, "backends": []}]})");
  const std::string text = status_text(status);
  for (const char* const line :
       {"  refused: denied 2, origin 1\n", "route all\n", "  refused by tokens: expired 4\n",
        "  refused by forward_auth: timeout 3\n", "  panic: 0 of 3 backends eligible, all are used\n",
        "  refused by its circuit breaker: sessions 6\n", "  waiting in its queue: 5\n",
        "  not dialled for want of a port, an address or a descriptor: 8\n",
        "  discovery fails: dns: Timeout\n"}) {
    CAPTURE(line);
    CHECK(text.find(line) != std::string::npos);
  }
}

TEST_CASE("a feed has one line, with what keeps its sources from being open") {
  const json status = json::parse(R"({"feeds": [
    {"name": "ticker", "subscribers": 900, "channels": 1, "source_connections": 1, "source_connections_wanted": 1},
    {"name": "chat", "subscribers": 12, "channels": 3, "source_connections": 1, "source_connections_wanted": 3,
     "sources": [{"state": "open", "last_error": "an old one"}, {"state": "waiting", "last_error": "refused"},
                 {"state": "connecting", "last_error": "later"}]}]})");
  CHECK(status_text(status) ==
        "holdfast ?, generation 0, up 0 s\n"
        "feed ticker                        900 subscribers      1 channels  1 source open\n"
        "feed chat                           12 subscribers      3 channels  1 of 3 sources open: refused\n");
}

TEST_CASE("a status of an older proxy has less, one of something else is refused") {
  CHECK(status_text(json::object()) == "holdfast ?, generation 0, up 0 s\n");
  CHECK_THROWS_AS((void)status_text(json::array()), json::exception);
  CHECK_THROWS_AS((void)status_text(json::parse(R"({"listeners": [7]})")), json::exception);
  CHECK_THROWS_AS((void)status_text(json::parse(R"({"upstreams": [{"circuit": {"breaks": {"a": "b"}}}]})")),
                  json::exception);
}

}  // namespace
}  // namespace holdfast::server
