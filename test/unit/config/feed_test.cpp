// feeds[]: what is taken, and what is said of what is not.
#include <doctest/doctest.h>

#include "holdfast/config/diff.hpp"
#include "unit/config/fake_world.hpp"

namespace holdfast::config::test {
namespace {

const std::string good_source = R"("source": {"urls": ["ws://127.0.0.1:9001/stream"]})";

LoadResult load(const std::string& feed, const std::string& path = "/feed") {
  FakeWorld world;
  world.files = {{"/etc/holdfast/token", "secret\n"}, {"/etc/holdfast/own.json", "{}"}};
  return world.load(R"({"listeners": [{"bind": "127.0.0.1:8080"}], "feeds": [{"name": "f", )" + feed +
                    R"(}], "routes": [{"path": ")" + path + R"(", "feed": "f"}]})");
}

Feed taken(const std::string& feed, const std::string& path = "/feed") {
  const LoadResult result = load(feed, path);
  for (const Problem& each : result.problems) MESSAGE(each.place, ": ", each.what);
  REQUIRE(result.config);
  return result.config->feeds.front();
}

TEST_SUITE("configuration of feeds") {
  TEST_CASE("a name and a source are enough") {
    const Feed feed = taken(good_source);
    CHECK(feed.dialect == "opaque");
    CHECK(feed.join.kind == JoinKind::none);
    CHECK(feed.on_lag == OnLag::disconnect);
    CHECK(feed.request_timeout == std::chrono::seconds(10));
    CHECK(feed.source.limits == SourceLimits{});
    CHECK(feed.source.urls.front().target == "/stream");
  }

  TEST_CASE("URLs, files and limits of a source") {
    const Feed feed = taken(
        R"("source": {"urls": ["wss://a.test/x?y=1", "ws://127.0.0.1:9/"], "mode": "redundant",
           "header_files": {"Authorization": "token"},
           "limits": {"subscriptions_per_connection": 200, "messages_per_second": 4, "connects_per_5min": 250}},
           "dialect": "./own.json", "request_timeout": "3s")");
    CHECK(feed.source.urls.front().scheme == SourceUrl::Scheme::wss);
    CHECK(feed.source.urls.front().target == "/x?y=1");
    CHECK(feed.source.read_headers.front().second == "secret");
    CHECK(feed.source.limits == SourceLimits{200, 4, 250});
    CHECK(feed.dialect == "/etc/holdfast/own.json");
    CHECK(feed.dialect_text == "{}");
    CHECK(feed.request_timeout == std::chrono::seconds(3));
  }

  TEST_CASE("what is wrong is said with its place and what is allowed") {
    struct Case {
      std::string feed;
      std::string place;
      std::string part;
    };
    const std::vector<Case> table{
        {R"("source": {})", "feeds[0].source", "must have either urls or upstream"},
        {R"("source": {"urls": ["http://a/"]})", "feeds[0].source.urls[0]", "ws://"},
        {R"("source": {"urls": ["ws://$name/"]})", "feeds[0].source.urls[0]", "must be a URL such as"},
        {R"("source": {"urls": ["ws://a/"], "mode": "redundant"})", "feeds[0].source.mode", "two urls"},
        {R"("source": {"upstream": "none"})", "feeds[0].source.upstream", "not the name of an upstream"},
        {R"("source": {"urls": ["ws://a/"], "limits": {"connects_per_5min": 1000001}})",
         "feeds[0].source.limits.connects_per_5min", "1000000"},
        {R"("source": {"urls": ["ws://a/"], "limits": {"messages_per_second": 4}})", "feeds[0].source.limits",
         "may have connects_per_5min only"},
        {R"("source": {"urls": ["ws://a/"], "header_files": {"X": "none"}})",
         "feeds[0].source.header_files.\"X\"", "can't be read"},
        {good_source + R"(, "dialect": "./none.json")", "feeds[0].dialect",
         "/etc/holdfast/none.json\" can't be read"},
        {good_source + R"(, "dialect": "rooms", "channel": "$name")", "feeds[0].channel", "must be absent"},
        {good_source + R"(, "dialect": "rooms", "client_messages": "forward")", "feeds[0].client_messages",
         "must be absent"},
        {good_source + R"(, "channel": "$name")", "routes[0].path", "must have \":name\""},
        {good_source + R"(, "request_timeout": "1ms")", "feeds[0].request_timeout", "100ms"},
        {good_source + R"(, "max_channels_per_client": 5)", "feeds[0].max_channels_per_client",
         "must be absent"},
        {good_source + R"(, "dialect": "rooms", "max_channels_per_client": 1001)",
         "feeds[0].max_channels_per_client", "is 1001, must be at most max_channels (1000)"},
        {good_source + R"(, "dialect": "rooms", "max_channels_per_client": 1000001)",
         "feeds[0].max_channels_per_client", "1000000"},
        {good_source + R"(, "join": {"last": 0})", "feeds[0].join.last", "1"},
        {good_source + R"(, "on_lag": "sometimes")", "feeds[0].on_lag", "\"conflate\""},
    };
    for (const Case& each : table) {
      CAPTURE(each.feed);
      const LoadResult result = load(each.feed);
      CHECK_FALSE(result.config);
      CHECK_MESSAGE(contains(what_at(result, each.place), each.part), check_report(result));
    }
  }

  TEST_CASE("a reload says what has changed, also in the dialect's file") {
    const Config before = *load(good_source + R"(, "dialect": "./own.json")").config;
    Config after = before;
    after.feeds[0].dialect_text = "{ }";
    after.feeds[0].request_timeout = std::chrono::seconds(1);
    after.feeds[0].max_channels_per_client = 7;
    const auto changes = diff(before, after);
    REQUIRE(changes.size() == 1);
    CHECK(contains(changes[0].sentence, "dialect"));
    CHECK(contains(changes[0].sentence, "request_timeout"));
    CHECK(contains(changes[0].sentence, "max_channels_per_client"));
  }

  TEST_CASE("one client may have half of a feed's channels, where the file does not say how many") {
    const Feed feed = load(good_source + R"(, "dialect": "rooms", "max_channels": 7)").config->feeds[0];
    CHECK(channels_per_client(feed) == 4);
    const std::string said = good_source + R"(, "dialect": "rooms", "max_channels_per_client": 1000)";
    CHECK(channels_per_client(load(said).config->feeds[0]) == 1000);
  }
}

}  // namespace
}  // namespace holdfast::config::test
