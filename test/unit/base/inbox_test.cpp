#include "holdfast/base/inbox.hpp"

#include <doctest/doctest.h>
#include <poll.h>

#include <array>
#include <thread>
#include <vector>

using namespace holdfast;

namespace {
struct Note final : InboxItem {
  Note(int who, int what) : sender(who), number(what) {}
  int sender;
  int number;
};
bool rung(const Inbox& inbox) {
  pollfd descriptor{inbox.wake_descriptor(), POLLIN, 0};
  return poll(&descriptor, 1, 0) == 1;
}
}  // namespace

TEST_CASE("an inbox rings once for a batch and gives it out oldest first") {
  Inbox inbox;
  CHECK_FALSE(rung(inbox));
  for (int n = 0; n < 3; ++n) inbox.push(new Note(0, n));
  CHECK(rung(inbox));
  InboxItem* chain = inbox.take_all();
  CHECK_FALSE(rung(inbox));
  for (int n = 0; n < 3; ++n) {
    auto* note = static_cast<Note*>(Inbox::take_next(chain));
    REQUIRE(note != nullptr);
    CHECK(note->number == n);
    delete note;
  }
  CHECK(Inbox::take_next(chain) == nullptr);
}

TEST_CASE("items of several senders arrive all, each sender's in order") {
  Inbox inbox;
  constexpr int senders = 3;
  constexpr int each = 2000;
  std::vector<std::thread> threads;
  for (int who = 0; who < senders; ++who) {
    threads.emplace_back([&inbox, who] {
      for (int n = 0; n < each; ++n) inbox.push(new Note(who, n));
    });
  }
  std::array<int, senders> expected{};
  int seen = 0;
  while (seen < senders * each) {
    pollfd descriptor{inbox.wake_descriptor(), POLLIN, 0};
    REQUIRE(poll(&descriptor, 1, 10'000) == 1);
    InboxItem* chain = inbox.take_all();
    while (auto* note = static_cast<Note*>(Inbox::take_next(chain))) {
      CHECK(note->number == expected[static_cast<std::size_t>(note->sender)]++);
      ++seen;
      delete note;
    }
  }
  for (auto& thread : threads) thread.join();
}
