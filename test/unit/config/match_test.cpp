#include "holdfast/config/match.hpp"

#include <doctest/doctest.h>

namespace holdfast::config::test {
namespace {

bool path(std::string_view pattern, std::string_view text) {
  std::string why;
  const auto compiled = PathPattern::compile(pattern, why);
  REQUIRE_MESSAGE(compiled, pattern);
  return compiled->matches(text);
}

bool host(std::string_view pattern, std::string_view text) {
  std::string why;
  const auto compiled = HostPattern::compile(pattern, why);
  REQUIRE_MESSAGE(compiled, pattern);
  return compiled->matches(text);
}

TEST_CASE("a path pattern is exact, case-sensitive, and every path if empty") {
  CHECK(path("/ws", "/ws"));
  CHECK_FALSE(path("/ws", "/WS"));
  CHECK_FALSE(path("/ws", "/ws/"));
  CHECK_FALSE(path("/ws", "/w"));
  CHECK_FALSE(path("/ws", ""));
  CHECK(path("", "/any/thing"));
  CHECK(path("", "*"));
  CHECK(path("/%41", "/%41"));
  CHECK_FALSE(path("/%41", "/A"));
}

TEST_CASE("a trailing star takes any tail, the empty one too") {
  CHECK(path("/ws/*", "/ws/"));
  CHECK(path("/ws/*", "/ws/a/b"));
  CHECK_FALSE(path("/ws/*", "/ws"));
  CHECK(path("/ws*", "/wss"));
  CHECK(path("/*", "/"));
}

TEST_CASE("a named segment is one segment that is not empty") {
  CHECK(path("/a/:id/b", "/a/42/b"));
  CHECK_FALSE(path("/a/:id/b", "/a//b"));
  CHECK_FALSE(path("/a/:id/b", "/a/1/2/b"));
  CHECK(path("/:x", "/y"));
  CHECK_FALSE(path("/:x", "/"));
  CHECK_FALSE(path("/:x", "/y/"));
  CHECK(path("/:x/:y/*", "/1/2/"));
  CHECK(path("/a:b", "/a:b"));
}

TEST_CASE("path patterns that mean nothing are refused") {
  for (const char* text :
       {"ws", "*", "/a*b", "/**", "/a b", "/a?b", "/a#", "/:", "/:/x", "/:a-b", "/:a*", "/\x01"}) {
    CAPTURE(text);
    std::string why;
    CHECK_FALSE(PathPattern::compile(text, why));
    CHECK_FALSE(why.empty());
  }
}

TEST_CASE("a host pattern ignores case and a final dot") {
  CHECK(host("Example.com", "eXAMPLE.COM"));
  CHECK(host("example.com", "example.com."));
  CHECK_FALSE(host("example.com", "a.example.com"));
  CHECK_FALSE(host("example.com", ""));
  CHECK(host("", "whatever"));
  CHECK(host("", ""));
  CHECK(host("::1", "::1"));
}

TEST_CASE("a star in a host pattern is exactly one label") {
  CHECK(host("*.example.com", "a.Example.com"));
  CHECK_FALSE(host("*.example.com", "a.b.example.com"));
  CHECK_FALSE(host("*.example.com", "example.com"));
  CHECK_FALSE(host("*.example.com", ".example.com"));
  CHECK_FALSE(host("*.com", "a.example.com"));
}

TEST_CASE("host patterns that mean nothing are refused") {
  for (const char* text : {"a:80", "*.", "*", "a.*", "*.*.a", "a b", "*.::1", "[::1]", "a/b"}) {
    CAPTURE(text);
    std::string why;
    CHECK_FALSE(HostPattern::compile(text, why));
    CHECK_FALSE(why.empty());
  }
}

TEST_CASE("the port of a Host field is cut off") {
  CHECK(host_without_port("a.b:80") == "a.b");
  CHECK(host_without_port("a.b") == "a.b");
  CHECK(host_without_port("[::1]:80") == "::1");
  CHECK(host_without_port("[::1]") == "::1");
  CHECK(host_without_port("[::1") == "[::1");
  CHECK(host_without_port("") == "");
}

TEST_CASE("a template's names are filled in, and told from the filled text again") {
  std::string why;
  const auto pattern = PathPattern::compile("/feed/:market/:symbol", why);
  REQUIRE(pattern);
  const auto captures = pattern->captures("/feed/spot/btcusdt");
  CHECK(fill("$market/$symbol", captures) == "spot/btcusdt");
  CHECK(fill("a$$b$symbol@x$nobody", captures) == "a$bbtcusdt@x");
  const auto again = captures_in("$market/$symbol", "spot/btcusdt");
  CHECK(again == captures);
  CHECK(placeholders("$market/x/$symbol") == std::vector<std::string>{"market", "symbol"});
}

TEST_CASE("a name from a client's path adds no argument to the source's target") {
  const std::vector<PathPattern::Capture> captures{{"name", "x&token=evil;y+z"}};
  CHECK(fill_target("/s/$name?symbol=$name&depth=5", captures) ==
        "/s/x&token=evil;y+z?symbol=x%26token%3Devil%3By%2Bz&depth=5");
  for (const char* dots : {".", "..", "%2e", "%2E.", ".%2e"}) CHECK(is_dot_segment(dots));
  for (const char* name : {"", "...", "a", ".a", "%2f"}) CHECK_FALSE(is_dot_segment(name));
}

}  // namespace
}  // namespace holdfast::config::test
