#include "feed/deduper.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace holdfast::feed::test {
namespace {

bool first(Deduper& deduper, std::size_t slot, const std::string& text, TimePoint now) {
  return deduper.is_first(slot, std::hash<std::string>{}(text), now);
}

constexpr TimePoint start{std::chrono::hours(1)};

TEST_CASE("the first connection to bring a message wins, whichever that is") {
  Deduper deduper;
  CHECK(first(deduper, 0, "a", start));
  CHECK_FALSE(first(deduper, 1, "a", start));
  CHECK(first(deduper, 1, "b", start));
  CHECK_FALSE(first(deduper, 0, "b", start));
}

TEST_CASE("the same content again is another message: a heartbeat is not taken for a double") {
  Deduper deduper;
  for (int n = 0; n < 5; ++n) {
    const TimePoint now = start + std::chrono::seconds(n);
    CHECK(first(deduper, 0, "heartbeat", now));
    CHECK_FALSE(first(deduper, 1, "heartbeat", now));
  }
}

TEST_CASE("a connection that comes later does not have to make up for old heartbeats") {
  Deduper deduper;
  for (int n = 0; n < 50; ++n) CHECK(first(deduper, 0, "heartbeat", start + std::chrono::seconds(n)));
  deduper.begin(1, start + std::chrono::seconds(55));
  CHECK(first(deduper, 1, "heartbeat", start + std::chrono::seconds(55)));
}

TEST_CASE("what was delivered just before another connection began is a double when that brings it, too") {
  Deduper deduper;
  CHECK(first(deduper, 0, "tick 17", start));
  deduper.begin(1, start + std::chrono::milliseconds(5));
  CHECK_FALSE(first(deduper, 1, "tick 17", start + std::chrono::milliseconds(10)));
  CHECK(first(deduper, 1, "tick 18", start + std::chrono::milliseconds(20)));
}

// Story: a connection that took over threw away a second of unchanged quotes, though nobody else could bring
// them.
TEST_CASE("a connection that has brought something new has to make up for nothing") {
  Deduper deduper;
  for (int n = 0; n < 20; ++n) CHECK(first(deduper, 0, "unchanged", start));
  deduper.begin(1, start);
  CHECK_FALSE(first(deduper, 1, "unchanged", start));
  CHECK(first(deduper, 1, "new", start));
  CHECK(first(deduper, 1, "unchanged", start));
}

TEST_CASE("nothing is kept of messages that are older than any connection is late") {
  Deduper deduper;
  for (int n = 0; n < 1000; ++n) CHECK(first(deduper, 0, std::to_string(n), start));
  CHECK(deduper.size() == 1000);
  CHECK(first(deduper, 0, "later", start + std::chrono::seconds(30)));
  CHECK(deduper.size() == 1);
}

TEST_CASE("two connections with delays of their own lose nothing, double nothing, and keep the order") {
  std::mt19937 random(11);
  for (int round = 0; round < 200; ++round) {
    Deduper deduper;
    std::vector<std::string> sent;
    for (int n = 0; n < 100; ++n) sent.push_back(random() % 4 == 0 ? "beat" : std::to_string(n));
    std::vector<std::string> got;
    std::size_t at[2] = {0, 0};
    while (at[0] < sent.size() || at[1] < sent.size()) {
      std::size_t slot = random() % 2;
      if (at[slot] == sent.size()) slot = 1 - slot;
      const std::string& text = sent[at[slot]++];
      if (first(deduper, slot, text, start)) got.push_back(text);
    }
    CHECK(got == sent);
  }
}

}  // namespace
}  // namespace holdfast::feed::test
