// Consistent hashing: which keys move, and how much anybody gets.
#include "holdfast/balance/ring.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "holdfast/balance/ramp.hpp"
#include "unit/balance/stage.hpp"

namespace holdfast::balance {
namespace {

Stage hashing(std::size_t count, std::uint32_t factor) {
  Stage stage(Policy::hash, std::vector<View>(count));
  stage.rules.hash_balance_factor = factor;
  stage.renew();
  return stage;
}

std::vector<std::size_t> owners(Stage& stage, std::size_t keys) {
  std::vector<std::size_t> found;
  for (std::size_t key = 0; key < keys; ++key) found.push_back(*stage.pick({hash_of(std::to_string(key))}));
  return found;
}

TEST_CASE("a key belongs to one backend, in every proxy and whatever the order of the backends") {
  Stage one = hashing(7, 0);
  Stage other = hashing(7, 0);
  std::ranges::reverse(other.members);
  other.renew();
  const auto here = owners(one, 5'000);
  const auto there = owners(other, 5'000);
  for (std::size_t key = 0; key < here.size(); ++key) REQUIRE(here[key] == 6 - there[key]);
}

TEST_CASE("where a key goes is the same in every version: else an update would move all clients") {
  CHECK(hash_of("") == 0xc3817c016ba4ff30ULL);
  CHECK(hash_of("10.0.0.1:9000") == 0x3f8c841e2f7d79a8ULL);
}

TEST_CASE("when one of n goes only its keys move, and when it is back they come back") {
  for (const std::size_t n : {2U, 3U, 10U, 100U}) {
    CAPTURE(n);
    Stage stage = hashing(n, 0);
    const std::size_t keys = 20'000;
    const auto before = owners(stage, keys);
    const std::size_t lost = n / 2;
    stage.views[lost].eligible = false;
    stage.renew();
    const auto without = owners(stage, keys);
    std::size_t moved = 0;
    for (std::size_t key = 0; key < keys; ++key) {
      if (before[key] == lost) {
        ++moved;
        REQUIRE(without[key] != lost);
      } else {
        REQUIRE(without[key] == before[key]);
      }
    }
    // About 1/n: what a ring's arcs (128 points each) differ by comes on top.
    CHECK(static_cast<double>(moved) / keys < 1.4 / static_cast<double>(n));
    CHECK(static_cast<double>(moved) / keys > 0.6 / static_cast<double>(n));
    stage.views[lost].eligible = true;
    stage.renew();
    CHECK(owners(stage, keys) == before);
    // Removed from the set instead of ineligible: the same keys move to the same others.
    stage.members.erase(stage.members.begin() + static_cast<std::ptrdiff_t>(lost));
    stage.views.pop_back();
    stage.renew();
    const auto removed = owners(stage, keys);
    for (std::size_t key = 0; key < keys; ++key) {
      const std::size_t index = removed[key] >= lost ? removed[key] + 1 : removed[key];
      REQUIRE(index == without[key]);
    }
  }
}

TEST_CASE("the keys of a lost backend spread over all the others, not upon one") {
  Stage stage = hashing(10, 0);
  const auto before = owners(stage, 50'000);
  stage.views[0].eligible = false;
  stage.renew();
  const auto after = owners(stage, 50'000);
  std::map<std::size_t, std::size_t> heirs;
  std::size_t moved = 0;
  for (std::size_t key = 0; key < before.size(); ++key) {
    if (before[key] != 0) continue;
    ++heirs[after[key]];
    ++moved;
  }
  CHECK(heirs.size() == 9);
  for (const auto& [member, count] : heirs) CHECK(count < moved / 3);
}

TEST_CASE("each has keys in proportion to its weight") {
  Stage stage(Policy::hash, {{0, 1}, {0, 2}, {0, 5}});
  stage.rules.hash_balance_factor = 0;
  stage.renew();
  std::vector<double> shares(3);
  for (const std::size_t owner : owners(stage, 80'000)) shares[owner] += 1.0 / 80'000;
  CHECK(shares[0] == doctest::Approx(0.125).epsilon(0.25));
  CHECK(shares[1] == doctest::Approx(0.25).epsilon(0.2));
  CHECK(shares[2] == doctest::Approx(0.625).epsilon(0.1));
}

TEST_CASE("the load is never above the bound, whatever the keys, and a key stays where it is while it fits") {
  Rng rng(world_seed());
  INFO("HOLDFAST_TEST_SEED=" << world_seed());
  for (int round = 0; round < 300; ++round) {
    const std::size_t n = 1 + rng() % 12;
    const std::uint32_t factor = 101 + static_cast<std::uint32_t>(rng() % 100);
    Stage stage = hashing(n, factor);
    std::uint64_t weights = 0;
    for (View& view : stage.views) weights += view.weight = 1 + static_cast<std::uint32_t>(rng() % 4);
    stage.renew();
    // Few keys, so that a few backends would get everything; sessions come and go.
    std::vector<std::size_t> placed;
    for (int i = 0; i < 400; ++i) {
      if (!placed.empty() && rng() % 3 == 0) {
        const std::size_t gone = rng() % placed.size();
        --stage.views[placed[gone]].sessions;
        placed.erase(placed.begin() + static_cast<std::ptrdiff_t>(gone));
      }
      const auto index = stage.place({rng() % 3});
      REQUIRE(index.has_value());
      placed.push_back(*index);
      // ceil(factor / 100 * mean per weight * its weight), in whole numbers.
      const std::uint64_t above = factor * placed.size() * stage.views[*index].weight;
      const std::uint64_t bound = (above + 100 * weights - 1) / (100 * weights);
      REQUIRE(stage.views[*index].sessions <= bound);
    }
  }
}

TEST_CASE("with a bound, too, only few keys beyond those of the lost backend move") {
  Stage stage = hashing(20, 125);
  const std::size_t keys = 20'000;
  std::vector<std::size_t> before;
  for (std::size_t key = 0; key < keys; ++key) before.push_back(*stage.place({hash_of(std::to_string(key))}));
  Stage later = hashing(20, 125);
  later.views[3].eligible = false;
  later.renew();
  std::size_t moved = 0;
  for (std::size_t key = 0; key < keys; ++key)
    moved += *later.place({hash_of(std::to_string(key))}) != before[key] ? 1 : 0;
  const double share = static_cast<double>(moved) / keys;
  MESSAGE("keys moved when one of 20 went, bound 125 %: ", share);
  CHECK(share < 0.1);
}

TEST_CASE("sessions without a key go where there are fewest") {
  Stage stage(Policy::hash, {{5, 1}, {2, 1}, {9, 1}});
  CHECK(stage.pick() == 1);
}

TEST_CASE("a backend that is eased in gets its keys back bit by bit") {
  Stage stage = hashing(5, 0);
  const auto before = owners(stage, 20'000);
  std::size_t had = 0;
  for (const int percent : {10, 40, 70, 100}) {
    stage.views[2].ramp = static_cast<std::uint8_t>(percent);
    const auto now = owners(stage, 20'000);
    std::size_t has = 0;
    for (std::size_t key = 0; key < now.size(); ++key) {
      if (now[key] != 2) continue;
      ++has;
      REQUIRE(before[key] == 2);
    }
    CHECK(has > had);
    had = has;
  }
  CHECK(had == static_cast<std::size_t>(std::ranges::count(before, 2)));
}

TEST_CASE("large sets have fewer points each, and a session finds somebody all the same") {
  std::vector<Member> many(10'000);
  for (std::size_t n = 0; n < many.size(); ++n) many[n].identity = hash_of(std::to_string(n));
  CHECK(Ring(many).size() == 320'000);
  for (Member& member : many) member.weight = 256;
  CHECK(Ring(many).size() == 2'560'000);
  CHECK(Ring(std::span<const Member>()).find(1, [](std::size_t, std::uint32_t) { return true; }) ==
        std::nullopt);
  Stage stage = hashing(2'000, 125);
  for (std::size_t n = 0; n < 1'999; ++n) stage.views[n].full = true;
  CHECK(stage.pick({7}) == 1'999);
}

TEST_CASE("a slow start goes from a tenth to the whole weight") {
  using std::chrono::milliseconds;
  CHECK(ramp_percent(milliseconds(0), milliseconds(0)) == 100);
  CHECK(ramp_percent(milliseconds(-5), milliseconds(1000)) == 10);
  CHECK(ramp_percent(milliseconds(0), milliseconds(1000)) == 10);
  CHECK(ramp_percent(milliseconds(500), milliseconds(1000)) == 55);
  CHECK(ramp_percent(milliseconds(999), milliseconds(1000)) == 99);
  CHECK(ramp_percent(milliseconds(1000), milliseconds(1000)) == 100);
  CHECK(ramp_percent(std::chrono::hours(1), std::chrono::hours(1)) == 100);
}

}  // namespace
}  // namespace holdfast::balance
