// Which messages of a feed are on their way, and what became of each of them at all clients.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "histogram.hpp"

namespace holdfast::bench {

// What is counted between two resets.
struct FeedTally {
  std::uint64_t sent = 0;
  std::uint64_t deliveries = 0;
  std::uint64_t skipped = 0;  // clients that got a later message instead
  std::uint64_t doubled = 0;  // or an earlier one again
  Histogram latency = {};     // from its sending (or when it should have been sent) to a client
  Histogram spread = {};      // from its first client to its last
};

// Numbers are 1, 2, 3 … A message is settled when each client has it or has something later.
class Flight {
 public:
  explicit Flight(std::size_t clients) : clients_(clients), messages_(capacity) {}

  [[nodiscard]] std::uint64_t last() const { return last_; }
  [[nodiscard]] std::uint64_t outstanding() const { return last_ - settled_; }
  // Only so many can be remembered.
  [[nodiscard]] bool full() const { return outstanding() == capacity; }

  std::uint64_t begin(std::int64_t when) {
    messages_[++last_ % capacity] = {when, 0, 0};
    ++tally_.sent;
    return last_;
  }

  // A client that was waiting for `next` got `number`; returns what it waits for now.
  std::uint64_t arrive(std::uint64_t next, std::uint64_t number, std::int64_t now) {
    if (number < next || number > last_) {
      ++tally_.doubled;
      return next;
    }
    for (; next < number; ++next) {
      ++tally_.skipped;
      account(next, now);
    }
    ++tally_.deliveries;
    if (number > settled_) tally_.latency.add(now - messages_[number % capacity].sent);
    account(number, now);
    return number + 1;
  }

  // Nothing of what is on its way will arrive any more.
  void give_up() { settled_ = last_; }

  [[nodiscard]] const FeedTally& tally() const { return tally_; }
  void reset() { tally_ = {}; }

 private:
  static constexpr std::size_t capacity = 1 << 16;

  struct Message {
    std::int64_t sent = 0;
    std::int64_t first = 0;  // when a client had it first
    std::size_t clients = 0;
  };

  void account(std::uint64_t number, std::int64_t now) {
    if (number <= settled_) return;
    Message& message = messages_[number % capacity];
    if (message.clients++ == 0) message.first = now;
    // Clients get messages in order, so they also settle in order.
    if (message.clients < clients_) return;
    tally_.spread.add(now - message.first);
    settled_ = number;
  }

  std::size_t clients_;
  std::vector<Message> messages_;
  std::uint64_t last_ = 0;
  std::uint64_t settled_ = 0;
  FeedTally tally_;
};

}  // namespace holdfast::bench
