#include "feed/subscriptions.hpp"

#include <doctest/doctest.h>

#include <deque>
#include <string>

namespace holdfast::feed::test {

TEST_SUITE("subscriptions") {
  TEST_CASE("one and many are numbered, walked and forgotten alike") {
    metrics::SourceCells cells;
    FeedState feed("ticker", {}, cells);
    std::deque<Channel> channels;
    Subscriptions all;
    CHECK(all.empty());
    for (std::size_t count = 1; count <= 5; ++count) {
      CAPTURE(count);
      Subscription& added = all.emplace_back();
      added.channel = &channels.emplace_back(feed, std::to_string(count));
      added.next = count * 10;
      CHECK(all.size() == count);
      CHECK(all.all().size() == count);
      CHECK(&all.front() == &all[0]);
      std::size_t seen = 0;
      for (const Subscription& each : all) {
        CHECK(each.channel == &channels[seen]);
        CHECK(each.next == (seen + 1) * 10);
        ++seen;
      }
      CHECK(seen == count);
    }
    all.clear();
    CHECK(all.empty());
    CHECK(all.begin() == all.end());
    all.emplace_back().channel = &channels.front();
    CHECK(all.size() == 1);
    CHECK(all[0].next == 0);
    all.clear();
    CHECK(all.empty());
  }
}

}  // namespace holdfast::feed::test
