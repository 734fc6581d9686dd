#include "server/preview.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "unit/config/fake_world.hpp"

namespace holdfast::server::test {
namespace {

using nlohmann::json;

json backend(const char* address, std::uint64_t sessions) {
  return {{"address", address}, {"sessions", sessions}};
}

// What runs: chat on a:1 and b:1, old on c:1.
json running() {
  return {{"upstreams",
           {{{"name", "chat"}, {"backends", {backend("a.test:1", 1204), backend("b.test:1", 7)}}},
            {{"name", "old"}, {"backends", json::array({backend("c.test:1", 3)})}}}}};
}

std::string preview(const std::string& chat_backends, const std::string& routes,
                    const std::string& more = "") {
  config::test::FakeWorld world;
  const auto result =
      world.load(R"({"listeners": [{"bind": "127.0.0.1:1"}], "routes": [)" + routes +
                 R"(], "upstreams": [{"name": "chat", "backends": [)" + chat_backends + "]}" + more + "]}");
  REQUIRE_MESSAGE(result.config, config::check_report(result));
  return preview_reload(*result.config, running());
}

const std::string old_stays = R"(, {"name": "old", "backends": [{"address": "c.test:1"}]})";
const std::string all_move = R"({"upstream": "chat"})";
const std::string all_stay = R"({"upstream": "chat", "reroute": {"on": ["lost"]}})";

TEST_CASE("removed backends are counted with the sessions that would move") {
  CHECK(preview(R"({"address": "b.test:1"}, {"address": "x.test:1"}, {"address": "y.test:1"})", all_move,
                old_stays) ==
        "2 backends added, 1 removed: 1,204 sessions would move\n"
        "  + backend chat/x.test:1\n"
        "  + backend chat/y.test:1\n"
        "  - backend chat/a.test:1: 1,204 sessions would move\n");
}

TEST_CASE("sessions whose route does not let them go would stay") {
  const std::string stay = preview(R"({"address": "b.test:1"})", all_stay, old_stays);
  CHECK(stay.starts_with("0 backends added, 1 removed: 1,204 sessions would stay"));
  const std::string unclear =
      preview(R"({"address": "b.test:1"})",
              R"({"upstream": "chat", "path": "/a", "reroute": {"on": []}}, )" + all_move, old_stays);
  CHECK(unclear.starts_with("0 backends added, 1 removed: 1,204 sessions would move or stay"));
}

TEST_CASE("sessions of an upstream that goes would be closed") {
  CHECK(preview(R"({"address": "a.test:1"})", all_move) ==
        "0 backends added, 2 removed: 7 sessions would move, 3 sessions would be closed (their upstream is "
        "removed)\n"
        "  - backend chat/b.test:1: 7 sessions would move\n"
        "  - backend old/c.test:1: 3 sessions would be closed (their upstream is removed)\n");
}

TEST_CASE("without a change of backends there is little to say") {
  CHECK(preview(R"({"address": "a.test:1"}, {"address": "b.test:1"})", all_move, old_stays) ==
        "no backend added or removed\n");
  CHECK(preview(R"({"address": "a.test:1"}, {"address": "b.test:1"}, {"address": "x.test:1"})", all_move,
                old_stays) == "1 backend added, 0 removed\n  + backend chat/x.test:1\n");
}

TEST_CASE("feeds that come, go and change are told with their subscribers") {
  config::test::FakeWorld world;
  const auto result = world.load(R"({"listeners": [{"bind": "127.0.0.1:1"}], "feeds": [
      {"name": "new", "source": {"urls": ["ws://s.test/"]}},
      {"name": "same", "source": {"urls": ["ws://s.test/"]}},
      {"name": "moved", "source": {"urls": ["ws://t.test/"]}, "on_lag": "conflate"},
      {"name": "renamed", "source": {"urls": ["ws://s.test/"]}, "channel": "$room"},
      {"name": "untold", "source": {"urls": ["ws://s.test/"]}}],
    "routes": [{"path": "/:room", "feed": "renamed"}]})");
  REQUIRE_MESSAGE(result.config, config::check_report(result));
  const auto feed = [](const char* name, std::uint64_t subscribers) {
    return json{{"name", name},
                {"subscribers", subscribers},
                {"dialect", "opaque"},
                {"channel", ""},
                {"on_lag", "disconnect"},
                {"source", {{"urls", {"ws://s.test/"}}, {"upstream", ""}, {"mode", "standby"}}}};
  };
  const json status = {{"feeds",
                        {feed("same", 5), feed("moved", 1), feed("renamed", 1200), feed("gone", 7),
                         json{{"name", "untold"}}}}};
  CHECK(preview_reload(*result.config, status) ==
        "no backend added or removed\n"
        "  + feed new\n"
        "  ~ feed moved: on_lag, source changed, 1 subscriber would stay\n"
        "  ~ feed renamed: channel changed, 1,200 subscribers would be closed (channels have other names)\n"
        "  - feed gone: 7 subscribers would be closed\n");
}

TEST_CASE("a status that is not what we know is no reason to fail") {
  config::test::FakeWorld world;
  const auto result = world.load(config::test::with(""));
  REQUIRE(result.config);
  CHECK(preview_reload(*result.config, json::object()).starts_with("1 backend added, 0 removed"));
}

}  // namespace
}  // namespace holdfast::server::test
