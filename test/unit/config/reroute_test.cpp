// routes[].reroute and what belongs to it in upstreams and limits.
#include <doctest/doctest.h>

#include "holdfast/config/diff.hpp"
#include "unit/config/fake_world.hpp"

namespace holdfast::config::test {
namespace {

using Codes = std::vector<std::uint16_t>;
using Occasions = std::vector<Occasion>;

// A file whose one route has these reroute keys.
std::string with_reroute(const std::string& keys, const std::string& more = "") {
  return with(R"("routes": [{"name": "r", "reroute": {)" + keys + "}}]," + more);
}

LoadResult load(const std::string& keys, const std::string& more = "") {
  FakeWorld world;
  world.files = {{"/etc/holdfast/secret", "  0123456789abcdef\n"},
                 {"/etc/holdfast/short", " 0123456789abcde \n"},
                 {"/etc/holdfast/empty", "\n"}};
  return world.load(with_reroute(keys, more));
}

Reroute loaded(const std::string& keys) {
  const LoadResult result = load(keys);
  REQUIRE_MESSAGE(result.config, check_report(result));
  return result.config->routes.at(0).reroute;
}

TEST_CASE("a route without reroute keys has the documented defaults") {
  CHECK(loaded("") == Reroute{});
  FakeWorld world;
  const LoadResult result = world.load(with(""));
  REQUIRE(result.config);
  CHECK(result.config->routes[0].reroute == Reroute{});
  CHECK(result.config->upstreams[0].move_rate == 500);
  CHECK(result.config->upstreams[0].reroute_rate == 5000);
  CHECK(result.config->upstreams[0].rebalance == Rebalance{0, 100});
  CHECK(result.config->limits.hold_memory == 256ULL << 20);
}

TEST_CASE("every reroute key is taken as it is written") {
  const Reroute r = loaded(R"("on": ["rebalance", "lost"], "hold": "1m", "hold_bytes": "2MiB",
      "hold_unit": "message", "attempts": 9, "close_codes": [4000, "none", 1001], "resend": {"unanswered": "1KiB"},
      "preamble": 2, "preamble_answers": 1, "compression": "strip", "move": "break_first", "quiet": 0,
      "secret_file": "secret")");
  CHECK(r.on == Occasions{Occasion::rebalance, Occasion::lost});
  CHECK(r.hold == std::chrono::minutes(1));
  CHECK(r.hold_bytes == 2ULL << 20);
  CHECK(r.hold_unit == HoldUnit::message);
  CHECK(r.attempts == 9);
  CHECK(r.close_codes == Codes{4000, Reroute::no_code, 1001});
  CHECK(r.resend_unanswered == 1024);
  CHECK(r.preamble == 2);
  CHECK(r.preamble_answers == 1);
  CHECK(r.compression == Compression::strip);
  CHECK(r.move == MoveOrder::break_first);
  CHECK(r.quiet.count() == 0);
  CHECK(r.secret_file == "/etc/holdfast/secret");
  CHECK(r.secret == "0123456789abcdef");
}

TEST_CASE("lists may be empty: no occasion, no code") {
  const Reroute r = loaded(R"("on": [], "close_codes": [])");
  CHECK(r.on.empty());
  CHECK(r.close_codes.empty());
}

TEST_CASE("\"incomplete\" is the default of resend, written out") {
  CHECK(loaded(R"("resend": "incomplete")").resend_unanswered == 0);
}

TEST_CASE("the keys of upstreams and limits are taken as they are written") {
  FakeWorld world;
  const LoadResult result = world.load(R"({"listeners": [{"bind": "127.0.0.1:1"}], "upstreams": [{"name": "u",
      "backends": [{"address": "127.0.0.1:1"}], "move_rate": 0, "reroute_rate": 1000000,
      "rebalance": {"threshold": 25, "rate": 7}}], "limits": {"hold_memory": "1MiB"}})");
  REQUIRE_MESSAGE(result.config, check_report(result));
  CHECK(result.config->upstreams[0].move_rate == 0);
  CHECK(result.config->upstreams[0].reroute_rate == 1'000'000);
  CHECK(result.config->upstreams[0].rebalance == Rebalance{25, 7});
  CHECK(result.config->limits.hold_memory == 1ULL << 20);
}

struct Refused {
  const char* keys;
  const char* place;  // behind "routes[0].reroute."
  const char* what;
};

TEST_CASE("a value out of its range is an error that tells what is allowed") {
  const Refused cases[] = {
      {R"("on": ["lost", "loost"])", "on[1]", "did you mean \"lost\"?"},
      {R"("on": ["lost", "lost"])", "on[1]", "is \"lost\", which is given twice"},
      {R"("on": "lost")", "on", "must be a list of 0 to 4"},
      {R"("on": [7])", "on[0]", "must be one of \"lost\""},
      {R"("hold": "11m")", "hold", "must be a duration from 0 to 10m"},
      {R"("hold_bytes": "65MiB")", "hold_bytes", "must be bytes from 0 to 64MiB"},
      {R"("hold_unit": "byte")", "hold_unit", "must be one of \"frame\", \"message\""},
      {R"("attempts": 0)", "attempts", "from 1 to 100"},
      {R"("close_codes": [999])", "close_codes[0]", "from 1000 to 4999 or \"none\""},
      {R"("close_codes": ["nothing"])", "close_codes[0]", "or \"none\""},
      {R"("close_codes": [1001, 1001])", "close_codes[1]", "given twice"},
      {R"("close_codes": ["none", "none"])", "close_codes[1]", "given twice"},
      {R"("close_codes": [1001, 1006])", "close_codes[1]", "no Close has another code"},
      {R"("close_codes": [2999])", "close_codes[0]", "no Close has another code"},
      {R"("close_codes": [3000,3001,3002,3003,3004,3005,3006,3007,3008,3009,3010,3011,3012,3013,3014,3015,3016])",
       "close_codes", "must be a list of 0 to 16"},
      {R"("resend": "complete")", "resend", "must be \"incomplete\" or an object"},
      {R"("resend": {})", "resend.unanswered", "is missing"},
      {R"("resend": {"unanswered": 0})", "resend.unanswered", "must be bytes from 1B to 64MiB"},
      {R"("resend": {"unansered": 1})", "resend.unansered", "did you mean"},
      {R"("preamble": 101)", "preamble", "from 0 to 100"},
      {R"("preamble": 1, "preamble_answers": 101)", "preamble_answers", "from 0 to 100"},
      {R"("compression": "zip")", "compression", "must be one of \"pin\", \"strip\", \"pass\""},
      {R"("move": "last")", "move", "must be one of \"make_first\", \"break_first\""},
      {R"("quiet": "6s")", "quiet", "must be a duration from 0 to 5s"},
      {R"("secret_file": "absent")", "secret_file", "can't be read: No such file"},
      {R"("secret_file": "short")", "secret_file", "must hold at least 16 bytes"},
      {R"("secret_file": "empty")", "secret_file", "must hold at least 16 bytes"},
  };
  for (const Refused& each : cases) {
    CAPTURE(each.keys);
    const LoadResult result = load(each.keys);
    CHECK_FALSE(result.config);
    const std::string what = what_at(result, std::string("routes[0].reroute.") + each.place);
    CHECK_MESSAGE(contains(what, each.what), check_report(result));
  }
}

TEST_CASE("keys that can't work together are errors") {
  const Refused cases[] = {
      {R"("preamble_answers": 1)", "preamble_answers", "needs a preamble"},
      {R"("preamble": 1, "preamble_answers": 1, "compression": "pass")", "preamble_answers",
       "compression \"pass\""},
      {R"("preamble": 1, "hold_bytes": 0)", "preamble", "needs hold_bytes"},
      {R"("hold_unit": "message", "hold_bytes": 0)", "hold_unit", "needs hold_bytes"},
      {R"("hold_bytes": "2MiB")", "hold_bytes", "limits.hold_memory"},
      {R"("resend": {"unanswered": "2MiB"})", "resend.unanswered", "limits.hold_memory"},
  };
  for (const Refused& each : cases) {
    CAPTURE(each.keys);
    const LoadResult result = load(each.keys, R"("limits": {"hold_memory": "1MiB"},)");
    CHECK(result.problems.size() == 1);
    CHECK(contains(what_at(result, std::string("routes[0].reroute.") + each.place), each.what));
  }
}

TEST_CASE("settings that do less than they seem to are warnings") {
  const LoadResult at_once = load(R"("hold": 0)");
  CHECK(at_once.config);
  REQUIRE(at_once.warnings.size() == 1);
  CHECK(at_once.warnings[0].place == "routes[0].reroute.hold");
  CHECK(load(R"("hold": 0, "on": ["draining"])").warnings.empty());

  FakeWorld world;
  const std::string before = R"({"listeners": [{"bind": "127.0.0.1:1"}],
      "upstreams": [{"name": "u", "backends": [{"address": "127.0.0.1:1"}], "rebalance": {"threshold": 10}}],
      "routes": [{"path": "/a", "reroute": {"on": ["lost"]}})";
  const LoadResult stays = world.load(before + "]}");
  CHECK(stays.config);
  REQUIRE(stays.warnings.size() == 1);
  CHECK(stays.warnings[0].place == "upstreams[0].rebalance");
  CHECK(world.load(before + ", {}]}").warnings.empty());
}

TEST_CASE("a secret is never told, not even when it changed") {
  FakeWorld world;
  const std::string text = with_reroute(R"("secret_file": "s")");
  world.files = {{"/etc/holdfast/s", "first-secret-0123456789"}};
  const LoadResult old = world.load(text);
  world.files = {{"/etc/holdfast/s", "other-secret-0123456789"}};
  const LoadResult now = world.load(text);
  REQUIRE(old.config);
  REQUIRE(now.config);
  const auto changes = diff(*old.config, *now.config);
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].sentence == "route r changed: reroute");
  world.files = {{"/etc/holdfast/s", "too-short"}};
  CHECK_FALSE(contains(check_report(world.load(text)), "too-short"));
}

}  // namespace
}  // namespace holdfast::config::test
