// From a loaded config to what the threads use, and everything that is wrong with TLS material at once.
#include "server/blueprint.hpp"

#include <doctest/doctest.h>

#include "holdfast/server/server.hpp"
#include "unit/config/fake_world.hpp"

namespace holdfast::server::test {
namespace {

config::Certificate good() {
  static const config::Certificate made = net::make_self_signed({"localhost"}).value();
  return made;
}

// Two listeners, two upstreams, a route to each; all TLS material good.
config::Config loaded() {
  config::test::FakeWorld world;
  world.files = {{"/etc/holdfast/c.pem", good().chain.pem}, {"/etc/holdfast/k.pem", good().key.pem}};
  const auto result = world.load(R"({
    "listeners": [
      {"name": "tls", "bind": "127.0.0.1:8443", "tls": {"certificates": [{"chain": "c.pem", "key": "k.pem"}]}},
      {"name": "plain", "bind": "127.0.0.1:8080"}],
    "routes": [
      {"name": "chat", "path": "/chat/*", "upstream": "chat", "max_message": "1KiB", "close_timeout": "7s"},
      {"name": "rest", "upstream": "news", "listeners": ["plain"]}],
    "upstreams": [
      {"name": "chat", "policy": "round_robin", "move_rate": 7, "reroute_rate": 1,
       "backends": [{"address": "127.0.0.1:9001", "weight": 3}, {"address": "127.0.0.1:9002", "max_sessions": 5}]},
      {"name": "news", "tls": {"ca": "c.pem", "server_name": "localhost"},
       "backends": [{"address": "127.0.0.1:9001"}]}]})");
  for (const auto& problem : result.problems) MESSAGE(problem.place, ": ", problem.what);
  REQUIRE(result.config.has_value());
  return *result.config;
}

struct Setting {
  Blueprint draw(const config::Config& config, std::uint64_t generation = 1) {
    return draw_blueprint(config, generation, lasting, registry);
  }
  Lasting lasting{2};
  metrics::Registry registry{2, 2, {"", ""}, [] { return metrics::Sample{}; }};
};

TEST_CASE("a good config becomes listeners, routes in order and destinations") {
  Setting all;
  const config::Config config = loaded();
  const Blueprint drawn = all.draw(config, 4);
  REQUIRE(drawn.serving != nullptr);
  CHECK(drawn.problems.empty());
  const frontend::Serving& serving = *drawn.serving;
  CHECK(serving.generation == 4);
  REQUIRE(serving.listeners.size() == 2);
  CHECK(serving.listeners[0].tls != nullptr);
  CHECK(serving.listeners[1].tls == nullptr);
  CHECK(serving.listeners[0].state->cells.size() == 2);
  REQUIRE(serving.routes.size() == 2);
  CHECK(serving.routes[0].destination->upstream->name() == "chat");
  CHECK(serving.routes[1].destination->upstream->name() == "news");
  CHECK(serving.routes[0].open_sessions.size() == 2);
  CHECK(serving.routes[0].open_sessions[1].size() == 2);
  CHECK(serving.destinations[0]->tls == nullptr);
  CHECK(serving.destinations[1]->tls != nullptr);
  CHECK(serving.destinations[0]->upstream->policy() == balance::Policy::round_robin);
}

TEST_CASE("ranks, zones and cookies of the config reach the upstream") {
  Setting all;
  config::Config config = loaded();
  config.zone = "a";
  config.upstreams[0].backends[0].rank = config::BackendConfig::Rank::backup;
  config.upstreams[1].sticky.emplace();
  const Blueprint drawn = all.draw(config);
  const auto& chat = *drawn.serving->destinations[0];
  for (int n = 0; n < 4; ++n) CHECK(chat.upstream->pick()->backend().address() == "127.0.0.1:9002");
  CHECK(chat.sticky == nullptr);
  const auto& news = *drawn.serving->destinations[1];
  REQUIRE(news.sticky != nullptr);
  const auto now = std::chrono::system_clock::now();
  const std::string value = news.sticky->issue(0, 1, now, std::chrono::seconds(9));
  // The same process reads it after a reload, another one does not.
  CHECK(all.draw(config, 2).serving->destinations[1]->sticky->read(value, now).has_value());
  Setting other;
  CHECK_FALSE(other.draw(config).serving->destinations[1]->sticky->read(value, now).has_value());
}

TEST_CASE("only backends that are added to an upstream that was there begin a slow start") {
  Setting all;
  const config::Config before = loaded();
  const Blueprint first = all.draw(before);
  const TimePoint now = Clock::now();
  begin_slow_starts(config::Config{}, *first.serving, now);
  for (const auto& backend : first.serving->destinations[0]->upstream->backends())
    CHECK(backend->came_at() == TimePoint{});
  config::Config after = before;
  after.upstreams[0].backends.push_back(after.upstreams[0].backends[0]);
  std::string why;
  after.upstreams[0].backends[2].address =
      *config::parse_address("127.0.0.1:9003", config::AddressUse::backend, why);
  const Blueprint second = all.draw(after, 2);
  begin_slow_starts(before, *second.serving, now);
  const auto backends = second.serving->destinations[0]->upstream->backends();
  CHECK(backends[0]->came_at() == TimePoint{});
  CHECK(backends[2]->came_at() == now);
}

TEST_CASE("publishing sets the limits of routes and backends that live on") {
  Setting all;
  const config::Config config = loaded();
  const Blueprint drawn = all.draw(config);
  apply_lasting(config, *drawn.serving);
  CHECK(drawn.serving->routes[0].state->max_message == 1024);
  CHECK(drawn.serving->routes[0].state->close_timeout_ms == 7000);
  const auto backends = drawn.serving->destinations[0]->upstream->backends();
  CHECK(backends[0]->weight() == 3);
  CHECK(backends[1]->max_sessions() == 5);
  upstream::UpstreamState& state = *all.lasting.backends.state("chat");
  CHECK(state.move_rate == 7);
  const TimePoint now(std::chrono::seconds(1));
  CHECK(state.reroute_pace().take(now).count() == 0);
  CHECK(state.reroute_pace().take(now).count() > 0);  // one a second
}

TEST_CASE("a second generation finds states and backends of the first again") {
  Setting all;
  config::Config config = loaded();
  const Blueprint first = all.draw(config);
  const Blueprint second = all.draw(config, 2);
  CHECK(first.serving->routes[0].state == second.serving->routes[0].state);
  CHECK(first.serving->listeners[0].state == second.serving->listeners[0].state);
  CHECK(first.serving->destinations[0]->upstream->backends()[1] ==
        second.serving->destinations[0]->upstream->backends()[1]);
  // The same address in another upstream is another backend.
  CHECK(first.serving->destinations[0]->upstream->backends()[0] !=
        first.serving->destinations[1]->upstream->backends()[0]);
}

TEST_CASE("all problems with TLS material are told at once, each with its place, and nothing is served") {
  Setting all;
  config::Config config = loaded();
  config.listeners[0].tls->certificates[0].key.pem = "junk";
  config.upstreams[1].tls->ca.pem = "junk";
  const Blueprint drawn = all.draw(config);
  CHECK(drawn.serving == nullptr);
  REQUIRE(drawn.problems.size() == 2);
  CHECK(drawn.problems[0].place == "listeners[0].tls");
  CHECK(drawn.problems[0].what.starts_with("/etc/holdfast/k.pem: "));
  CHECK(drawn.problems[1].place == "upstreams[1].tls");
  CHECK(drawn.problems[1].what.starts_with("/etc/holdfast/c.pem: "));
  CHECK(check_beyond_syntax(config) == drawn.problems);
  CHECK(check_beyond_syntax(loaded()).empty());
}

TEST_CASE("dialects are read, and what is wrong with them is told with file and place") {
  config::Config config = loaded();
  for (const auto& [name, dialect, text] :
       std::vector<std::array<std::string, 3>>{{"spot", "binance", ""},
                                               {"plain", "opaque", ""},
                                               {"typo", "binanze", ""},
                                               {"own", "/d.json", "{\"client\": 1}"}}) {
    config::Feed& feed = config.feeds.emplace_back();
    feed.name = name;
    feed.dialect = dialect;
    feed.dialect_text = text;
  }
  config.feeds[0].join = {config::JoinKind::snapshot, 0};
  for (config::Feed& each : config.feeds) each.source.upstream = "chat";
  Setting all;
  const std::vector<config::Problem> problems = all.draw(config).problems;
  REQUIRE(problems.size() >= 3);
  CHECK(problems[0] ==
        config::Problem{"feeds[0].join", "is \"snapshot\", but the dialect has no rule that tells one"});
  CHECK(problems[1].place == "feeds[2].dialect");
  CHECK(config::test::contains(problems[1].what, "\"binance\""));
  CHECK(problems[2].place == "feeds[3].dialect");
  CHECK(problems[2].what.starts_with("/d.json: "));
  config.feeds.resize(2);
  config.feeds[0].join = {};
  const Blueprint good_one = all.draw(config);
  REQUIRE(good_one.serving != nullptr);
  CHECK_FALSE(good_one.serving->dialects.at("spot")->is_opaque());
  CHECK(good_one.serving->dialects.at("plain")->is_opaque());
}

TEST_CASE("a blueprint that failed leaves no backend behind once it is forgotten") {
  Setting all;
  config::Config config = loaded();
  config.upstreams[1].tls->ca.pem = "junk";
  { const Blueprint drawn = all.draw(config); }
  CHECK(all.lasting.backends.all().size() == 3);
  CHECK(all.lasting.backends.forget_unused() == 3);
  CHECK(all.lasting.backends.all().empty());
}

}  // namespace
}  // namespace holdfast::server::test
