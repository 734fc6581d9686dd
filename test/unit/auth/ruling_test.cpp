// What answers of forward_auth services mean, and how they are remembered.
#include "holdfast/auth/ruling.hpp"

#include <doctest/doctest.h>

namespace holdfast::auth::test {
namespace {

using metrics::ForwardResult;

Ruling ruling_of(const std::string& answer) {
  config::ForwardAuth settings;
  settings.copy_headers = {"X-User", "X-Team"};
  return read_ruling(ws::ResponseHead::parse("HTTP/1.1 " + answer + "\r\n\r\n").value(), settings);
}

std::string text(const Ruling& ruling) {
  std::string out(metrics::text(ruling.result));
  for (const ws::ExtraField& field : ruling.fields) out += " " + field.name + "=" + field.value;
  return out;
}

TEST_CASE("2xx allows, 4xx denies, nothing else decides") {
  CHECK(text(ruling_of("200 OK\r\nx-user: ann\r\nX-Team: a\r\nX-Team: b\r\nX-More: c")) ==
        "allowed X-User=ann X-Team=a X-Team=b");
  CHECK(text(ruling_of("204 No Content\r\nX-User:")) == "allowed");
  CHECK(text(ruling_of("401 Unauthorized\r\nWWW-Authenticate: Basic\r\nX-User: ann")) ==
        "denied WWW-Authenticate=Basic");
  CHECK(text(ruling_of("404 Not Found")) == "denied");
  for (const char* answer : {"101 Switching Protocols", "302 Found", "500 Oops", "503 Busy"})
    CHECK(text(ruling_of(answer)) == "unexpected");
}

TEST_CASE("come back later is not for the cache") {
  CHECK(ruling_of("200 OK").is_lasting());
  CHECK(ruling_of("403 Forbidden").is_lasting());
  for (const char* answer :
       {"408 Request Timeout", "425 Too Early", "429 Too Many Requests", "500 Oops", "302 Found"})
    CHECK(!ruling_of(answer).is_lasting());
}

TEST_CASE("a ruling is found until it is too old") {
  RulingCache cache;
  const TimePoint begin{};
  const auto question = digest_of("service", "GET / HTTP/1.1");
  CHECK(cache.find(question, Milliseconds(100), begin) == nullptr);
  cache.put(question, ruling_of("200 OK\r\nX-User: ann"), begin);
  const Ruling* known = cache.find(question, Milliseconds(100), begin + Milliseconds(99));
  REQUIRE(known != nullptr);
  CHECK(text(*known) == "allowed X-User=ann");
  CHECK(cache.find(digest_of("other", "GET / HTTP/1.1"), Milliseconds(100), begin) == nullptr);
  CHECK(cache.find(question, Milliseconds(100), begin + Milliseconds(100)) == nullptr);
  CHECK(cache.size() == 0);
}

TEST_CASE("who is asked and what is asked are not to be mixed up") {
  CHECK(digest_of("ab", "c") != digest_of("a", "bc"));
  CHECK(digest_of("1:a", "b") != digest_of("1", ":ab"));
}

TEST_CASE("the cache is bounded: the least recently needed go first") {
  RulingCache cache(2'000);
  const TimePoint now{};
  const auto question = [](int n) { return digest_of("s", std::to_string(n)); };
  for (int n = 0; n < 100; ++n) {
    cache.put(question(n), ruling_of("200 OK"), now);
    CHECK(cache.find(question(0), Milliseconds(100), now) != nullptr);
  }
  CHECK(cache.size() >= 2);
  CHECK(cache.size() <= 10);
  CHECK(cache.find(question(99), Milliseconds(100), now) != nullptr);
  CHECK(cache.find(question(50), Milliseconds(100), now) == nullptr);
  // One that alone would fill it is not kept, nor does it drive out the others.
  Ruling large = ruling_of("200 OK");
  large.fields.push_back({"X-User", std::string(RulingCache::longest_entry, 'a')});
  const std::size_t before = cache.size();
  cache.put(question(1000), std::move(large), now);
  CHECK(cache.size() == before);
}

}  // namespace
}  // namespace holdfast::auth::test
