// `upstreams[].source`.
#include <doctest/doctest.h>

#include "holdfast/config/diff.hpp"
#include "holdfast/net/socket.hpp"
#include "unit/config/fake_world.hpp"

namespace holdfast::config::test {
namespace {

LoadResult load(const std::string& list, const std::string& backend = "127.0.0.1:9001",
                const std::string& missing = "") {
  FakeWorld fake;
  World world = fake.world();
  world.check_source = [&](const SocketAddress& source) {
    return net::host_text(source) == missing ? "Cannot assign requested address" : "";
  };
  return load_text(R"({"listeners": [{"bind": "127.0.0.1:8080"}], "upstreams": [{"name": "u", "source": )" +
                       list + R"(, "backends": [{"address": ")" + backend + R"("}]}]})",
                   "/etc/holdfast/holdfast.json", world);
}

std::string warning_at(const LoadResult& result, const std::string& place) {
  REQUIRE_MESSAGE(result.config, check_report(result));
  for (const Problem& warning : result.warnings) {
    if (warning.place == place) return warning.what;
  }
  return {};
}

TEST_CASE("sources are IP addresses, kept in order") {
  const LoadResult result = load(R"(["127.0.0.3", "127.0.0.2", "::1"])");
  REQUIRE_MESSAGE(result.config, check_report(result));
  std::vector<std::string> texts;
  for (const SocketAddress& each : result.config->upstreams[0].source) texts.push_back(net::host_text(each));
  CHECK(texts == std::vector<std::string>{"127.0.0.3", "127.0.0.2", "::1"});
  CHECK(load("[]").config->upstreams[0].source.empty());
}

TEST_CASE("a source that no connection can come from is refused, with what is allowed") {
  const std::pair<const char*, const char*> all[] = {{"localhost", "must be an IP address"},
                                                     {"127.0.0.1:80", "without a port"},
                                                     {"[::1]", "must be an IP address"},
                                                     {"10.0.0.0/8", "must be an IP address"},
                                                     {"", "must be an IP address"},
                                                     {"127.0.0.1\\u0000", "must be an IP address"},
                                                     {"0.0.0.0", "must be one machine's"},
                                                     {"::", "must be one machine's"},
                                                     {"224.0.0.1", "must be one machine's"},
                                                     {"255.255.255.255", "must be one machine's"},
                                                     {"ff02::1", "must be one machine's"},
                                                     {"fe80::1", "link-local"},
                                                     {"::ffff:10.0.0.1", "as an IPv4 address, 10.0.0.1"}};
  for (const auto& [text, why] : all) {
    CAPTURE(text);
    const LoadResult result = load("[\"127.0.0.1\", \"" + std::string(text) + "\"]");
    CHECK(contains(what_at(result, "upstreams[0].source[1]"), why));
  }
  CHECK(contains(what_at(load(R"(["127.0.0.1", "127.0.0.1"])"), "upstreams[0].source[1]"), "twice"));
  CHECK(contains(what_at(load(R"("127.0.0.1")"), "upstreams[0].source"), "list"));
}

TEST_CASE("a source that is not there, or that a backend can't be reached from, is a warning") {
  CHECK(contains(warning_at(load(R"(["127.0.0.2", "198.51.100.1"])", "127.0.0.1:1", "198.51.100.1"),
                            "upstreams[0].source[1]"),
                 "can't be used on this machine: Cannot assign"));
  CHECK(contains(warning_at(load(R"(["127.0.0.2"])", "[::1]:1"), "upstreams[0].source"),
                 "has no IPv6 address for backend \"[::1]:1\""));
  CHECK(contains(warning_at(load(R"(["::1"])", "10.0.0.1:1"), "upstreams[0].source"), "has no IPv4 address"));
  CHECK(warning_at(load(R"(["::1"])", "unix:/tmp/b"), "upstreams[0].source").empty());
  CHECK(warning_at(load(R"(["::1", "127.0.0.2"])"), "upstreams[0].source").empty());
}

TEST_CASE("a reload says that sources have changed") {
  const Config old = *load(R"(["127.0.0.2"])").config;
  const auto changes = diff(old, *load(R"(["127.0.0.3"])").config);
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].sentence == "upstream u changed: source");
}

}  // namespace
}  // namespace holdfast::config::test
