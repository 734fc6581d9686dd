#include "holdfast/session/address_table.hpp"

#include <doctest/doctest.h>

#include <thread>
#include <vector>

#include "config/socket_address.hpp"

namespace holdfast::session::test {
namespace {

using Verdict = AddressTable::Verdict;

AddressTable::Key key(const std::string& text) {
  const auto known = AddressTable::key_of(*config::numeric_socket(text, 4711));
  REQUIRE(known);
  return *known;
}

TEST_CASE("IPv4 addresses count each, however they are written; IPv6 ones by /64") {
  CHECK(key("192.0.2.1") == key("::ffff:192.0.2.1"));
  CHECK(key("192.0.2.1") != key("192.0.2.2"));
  CHECK(key("2001:db8:1:2::1") == key("2001:db8:1:2:ffff:ffff:ffff:ffff"));
  CHECK(key("2001:db8:1:2::1") != key("2001:db8:1:3::1"));
  CHECK(key("::1") != key("0.0.0.1"));
  config::SocketAddress unix_client;
  unix_client.storage.ss_family = AF_UNIX;
  CHECK_FALSE(AddressTable::key_of(unix_client));
}

TEST_CASE("an address has so many connections and no more, until one ends") {
  AddressTable table;
  const AddressTable::Rules rules{2, {}};
  auto one = table.enter(1, rules, 0);
  auto two = table.enter(1, rules, 0);
  CHECK(one.verdict == Verdict::welcome);
  CHECK(two.verdict == Verdict::welcome);
  CHECK(table.enter(1, rules, 0).verdict == Verdict::too_many);
  CHECK(table.enter(2, rules, 0).verdict == Verdict::welcome);
  two.place = {};
  CHECK(table.enter(1, rules, 0).verdict == Verdict::welcome);
  // A raised limit counts for those that are there; a lowered one throws nobody out.
  auto third = table.enter(1, {3, {}}, 0);
  auto fourth = table.enter(1, {3, {}}, 0);
  CHECK(fourth.verdict == Verdict::welcome);
  CHECK(table.enter(1, rules, 0).verdict == Verdict::too_many);
}

TEST_CASE("an address that comes too fast is told how long to wait, and soon not told anything") {
  AddressTable table;
  const AddressTable::Rules rules{0, {1, 2}};
  CHECK(table.enter(1, rules, 0).verdict == Verdict::welcome);
  CHECK(table.enter(1, rules, 0).verdict == Verdict::welcome);
  for (std::uint64_t n = 0; n < AddressTable::answers.burst; ++n) {
    const auto answer = table.enter(1, rules, 0);
    CHECK(answer.verdict == Verdict::too_fast);
    CHECK(answer.wait_ms == 1'000);
    CHECK(answer.may_be_told);
  }
  CHECK_FALSE(table.enter(1, rules, 0).may_be_told);
  CHECK(table.enter(2, rules, 0).verdict == Verdict::welcome);
  // Who was refused has used up nothing.
  CHECK(table.enter(1, rules, 1'000).verdict == Verdict::welcome);
  CHECK(table.enter(1, rules, 1'000).may_be_told);
}

TEST_CASE("an address is forgotten as soon as that changes nothing") {
  AddressTable table;
  const AddressTable::Rules rules{5, {10, 10}};
  {
    auto stays = table.enter(1, rules, 0);
    auto goes = table.enter(2, rules, 0);
    CHECK(table.count(rules, 0) == 2);
    goes.place = {};
    CHECK(table.count(rules, 50) == 2);
    CHECK(table.count(rules, 101) == 1);
    CHECK(table.count(rules, 1U << 30U) == 1);
  }
  CHECK(table.count(rules, 1U << 30U) == 0);
}

TEST_CASE("a flood of addresses is bounded, and one with connections is never forgotten") {
  AddressTable table;
  const AddressTable::Rules rules{1, {1, 1}};
  const auto kept = table.enter(0, rules, 0);
  for (AddressTable::Key n = 1; n <= 300'000; ++n) (void)table.enter(n << 8U, rules, 0);
  CHECK(table.count(rules, 0) <= AddressTable::most_idle + 1);
  CHECK(table.count(rules, 0) > AddressTable::most_idle / 2);
  CHECK(table.enter(0, rules, 0).verdict == Verdict::too_many);
  CHECK(table.enter(300'000 << 8U, rules, 0).verdict == Verdict::too_fast);  // the latest are remembered
  CHECK(table.count(rules, 2'000) == 1);
}

TEST_CASE("threads that enter and leave at once keep the count") {
  AddressTable table;
  const AddressTable::Rules rules{8, {}};
  std::vector<std::thread> threads;
  for (unsigned n = 0; n < 4; ++n) {
    threads.emplace_back([&table, &rules, n] {
      std::vector<AddressTable::Place> mine;
      for (unsigned each = 0; each < 5'000; ++each) {
        auto answer = table.enter(each % 3, rules, each);
        if (answer.verdict == Verdict::welcome) mine.push_back(std::move(answer.place));
        if (mine.size() > n) mine.clear();
      }
    });
  }
  for (std::thread& each : threads) each.join();
  CHECK(table.count(rules, 0) == 0);
}

}  // namespace
}  // namespace holdfast::session::test
