// Keys of probes and ejections: what is allowed together, what a backend's own probe inherits.
#include <doctest/doctest.h>

#include "holdfast/config/expectation.hpp"
#include "unit/config/fake_world.hpp"

namespace holdfast::config::test {
namespace {

LoadResult load(const std::string& upstream, const std::string& backend = "") {
  FakeWorld world;
  world.files = {{"/etc/holdfast/ca.pem", chain_pem}};
  return world.load(R"({"listeners": [{"bind": "127.0.0.1:1"}], "upstreams": [{"name": "u", )" + upstream +
                    R"("backends": [{"address": "127.0.0.1:2")" + backend +
                    R"(}, {"address": "unix:/b"}]}]})");
}

const Upstream& loaded(const LoadResult& result) {
  REQUIRE_MESSAGE(result.config, check_report(result));
  return result.config->upstreams[0];
}

std::string warning_at(const LoadResult& result, const std::string& place) {
  for (const Problem& warning : result.warnings) {
    if (warning.place == place) return warning.what;
  }
  return {};
}

TEST_CASE("the type of a probe that is not told follows the upstream's transport") {
  CHECK(loaded(load("")).probe.type == ProbeType::tcp);
  CHECK(loaded(load(R"("tls": {},)")).probe.type == ProbeType::tls);
  CHECK(loaded(load(R"("tls": {}, "probe": {"type": "auto"},)")).probe.type == ProbeType::tls);
  CHECK(loaded(load(R"("tls": {}, "probe": {"type": "tcp"},)")).probe.type == ProbeType::tcp);
  CHECK(contains(what_at(load(R"("probe": {"type": "tls"},)"), "upstreams[0].probe.type"), "needs tls"));
}

TEST_CASE("a backend's own probe has the upstream's keys where it says nothing") {
  const LoadResult result =
      load(R"("tls": {}, "probe": {"type": "http", "path": "/h", "rise": 9, "headers": {"X-A": "1"}},)",
           R"(, "probe": {"path": "/own", "port": 8, "fall": 1})");
  const Upstream& upstream = loaded(result);
  CHECK(result.warnings.empty());
  REQUIRE(upstream.backends[0].probe);
  Probe expected = upstream.probe;
  expected.path = "/own";
  expected.port = 8;
  expected.fall = 1;
  CHECK(*upstream.backends[0].probe == expected);
  CHECK(&probe_of(upstream.probe, upstream.backends[1].probe) == &upstream.probe);
}

TEST_CASE("every key of a probe is checked with its path, its value and what is allowed") {
  struct Row {
    const char* probe;
    const char* place;
    const char* what;
  };
  for (const Row& row : {
           Row{R"("type": "icmp")", "type", R"("auto", "tcp", "tls", "http", "websocket", "none")"},
           Row{R"("method": "GET /")", "method", "must be an HTTP method"},
           Row{R"("method": "CONNECT")", "method", "not CONNECT"},
           Row{R"("host": "a\nb")", "host", "control characters"},
           Row{R"("headers": [])", "headers", "must be an object of up to 50 strings"},
           Row{R"("headers": {"X-A": 1})", "headers.\"X-A\"", "must be a string"},
           Row{R"("headers": {"X A": "1"})", "headers.\"X A\"", "the name of a field"},
           Row{R"("headers": {"hOst": "1"})", "headers.\"hOst\"", "writes itself"},
           Row{R"("headers": {"X-A": "1\r\nX-B: 2"})", "headers.\"X-A\"", "control characters"},
           Row{R"("expect_status": "2xx")", "expect_status", "from 100 to 599"},
           Row{R"("expect_status": "")", "expect_status", "from 100 to 599"},
           Row{R"("expect_status": "300-200")", "expect_status", "from 100 to 599"},
           Row{R"("expect_status": "200,")", "expect_status", "from 100 to 599"},
           Row{R"("expect_status": "200-600")", "expect_status", "from 100 to 599"},
           Row{R"("expect_body": "/(/")", "expect_body", "regular expression between slashes: missing )"},
           Row{R"("expect": "/[/")", "expect", "regular expression between slashes: missing ]"},
           Row{R"("subprotocol": "a, b")", "subprotocol", "one subprotocol"},
           Row{R"("port": 65536)", "port", "from 0 to 65535"},
           Row{R"("interval_down": "10ms")", "interval_down", "from 50ms to 1h or 0"},
       }) {
    CAPTURE(row.probe);
    const LoadResult result = load("\"probe\": {" + std::string(row.probe) + "},");
    CHECK(result.problems.size() == 1);
    CHECK(contains(what_at(result, "upstreams[0].probe." + std::string(row.place)), row.what));
  }
  const std::string long_text(5000, 'x');
  CHECK(contains(what_at(load(R"("probe": {"send": ")" + long_text + "\"},"), "upstreams[0].probe.send"),
                 "4096"));
}

TEST_CASE("what a probe of its type has no use for is a warning, what can't be is an error") {
  const LoadResult unused =
      load(R"("probe": {"type": "tcp", "path": "/x", "send": "hi", "expect_body": "ok"},)");
  for (const char* key : {"path", "send", "expect_body"})
    CHECK(contains(warning_at(unused, "upstreams[0].probe." + std::string(key)), "type \"tcp\""));
  CHECK(load(R"("probe": {"type": "http", "expect_body": "x"},)", R"(, "probe": {"type": "tcp"})")
            .warnings.empty());
  CHECK(contains(what_at(load(R"("probe": {"type": "http", "method": "HEAD", "expect_body": "x"},)"),
                         "upstreams[0].probe.expect_body"),
                 "HEAD"));
  const LoadResult port = load(R"("probe": {"port": 99},)");
  CHECK(port.problems.size() == 1);
  CHECK(contains(what_at(port, "upstreams[0].probe.port"), "\"unix:/b\" is a unix socket"));
}

TEST_CASE("status ranges are codes and ranges with commas") {
  std::string why;
  CHECK(parse_status_ranges("200-399", why) == std::vector<StatusRange>{{200, 399}});
  CHECK(parse_status_ranges("204", why) == std::vector<StatusRange>{{204, 204}});
  CHECK(parse_status_ranges("200,204,301-302", why) ==
        std::vector<StatusRange>{{200, 200}, {204, 204}, {301, 302}});
  CHECK(why.empty());
}

TEST_CASE("an expectation is a text, or an expression between slashes") {
  struct Row {
    const char* written;
    const char* answer;
    bool found;
  };
  for (const Row& row : {Row{"", "", true}, Row{"ok", "all is ok.", true}, Row{"ok", "all is OK", false},
                         Row{"/^ok [0-9]+$/", "ok 12", true}, Row{"/^ok [0-9]+$/", "not ok 12", false},
                         Row{"/(?i)OK/", "all is ok", true}, Row{"/", "a/b", true}, Row{"//", "a//b", true},
                         Row{"//", "a/b", false}, Row{"/a\\/b/", "xa/bx", true}}) {
    CAPTURE(row.written);
    std::string why;
    const auto expectation = Expectation::compile(row.written, why);
    REQUIRE(expectation);
    CHECK(expectation->found_in(row.answer) == row.found);
  }
}

// Story: (a+)+$ takes a backtracking matcher until the end of the world, and std::regex the stack.
TEST_CASE("no answer makes an expression slow") {
  std::string why;
  const auto expectation = Expectation::compile("/^(a+)+$/", why);
  CHECK_FALSE(expectation->found_in(std::string(64 * 1024, 'a') + "b"));
  CHECK(expectation->found_in(std::string(64 * 1024, 'a')));
}

TEST_CASE("keys of ejections are checked; what follows from others does") {
  const Upstream few = loaded(load(R"("outlier": {"consecutive_failures": 2, "eject_for": "10m"},)"));
  CHECK(few.outlier.consecutive_5xx == 2);
  CHECK(few.outlier.eject_max == std::chrono::minutes(10));
  CHECK(loaded(load("")).outlier == Outlier{});
  const Upstream all = loaded(load(
      R"("outlier": {"consecutive_5xx": 7, "lost_sessions": false, "early_death": 0, "eject_max": "30s", "panic_percent": 0,
         "success_rate": {"threshold": 90, "window": "1m", "minimum": 5}},)"));
  CHECK(all.outlier.consecutive_5xx == 7);
  CHECK(all.outlier.lost_sessions == Outlier::LostSessions::ignored);
  CHECK(all.outlier.early_death.count() == 0);
  CHECK(all.outlier.success_rate == SuccessRate{90, std::chrono::minutes(1), 5});
  const auto place = [](const char* key) { return "upstreams[0].outlier." + std::string(key); };
  CHECK(contains(what_at(load(R"("outlier": {"eject_max": "10s"},)"), place("eject_max")),
                 "shorter than eject_for"));
  CHECK(contains(what_at(load(R"("outlier": {"panic_percent": 101},)"), place("panic_percent")), "0 to 100"));
  CHECK(contains(
      what_at(load(R"("outlier": {"success_rate": {"threshold": 101}},)"), place("success_rate.threshold")),
      "0 to 100"));
  CHECK(contains(warning_at(load(R"("outlier": {"panic_percent": 60},)"), place("panic_percent")),
                 "max_ejected_percent 50"));
}

}  // namespace
}  // namespace holdfast::config::test
