#pragma once
// A channel as one pump thread knows it: its log, and who follows it from where.

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "holdfast/feed/items.hpp"

namespace holdfast::feed {

class Subscriber;

struct Channel {
  Channel(FeedState& of, std::string named) : feed(of), key(std::move(named)) {}

  struct Follower {
    Subscriber* who;
    std::uint32_t subscription;  ///< its number there
  };
  FeedState& feed;
  std::string key;
  ChannelId id = 0;  ///< 0: asked for, not open yet
  Rules rules;
  Log log;
  std::vector<Follower> followers;
  bool is_listed_as_left = false;
  bool is_grown = false;
  bool is_counted = false;     ///< listed in Audience::counted_
  TimePoint renewed_at;        ///< when a snapshot was last asked for
  bool wants_renewal = false;  ///< somebody may still wait for one
  bool is_orphan = false;      ///< the hub knows it no more
  struct Said {
    ws::Opcode opcode;
    std::vector<std::byte> message;
  };
  std::vector<Said> said_before;  ///< by clients, before it was open; most_said_before bytes at most
  std::size_t said_before_bytes = 0;
  static constexpr std::size_t most_said_before = 256UL * 1024;
};

/// One subscriber's place in one channel.
struct Subscription {
  static constexpr std::uint32_t none = UINT32_MAX;

  Channel* channel = nullptr;     ///< null: this number is free
  Sequence next = 0;              ///< to be sent
  Sequence fresh = 0;             ///< what comes from here on has come since it joined
  std::uint32_t place = 0;        ///< in channel->followers
  std::uint32_t next_due = none;  ///< behind it in the DueList
  std::uint32_t missed = 0;       ///< messages that it is still to be told of that it did not get
  bool joined = false;            ///< it gets what comes, `next` counts
  bool held = false;              ///< it waits for a snapshot
  bool due = false;               ///< in the DueList
};

/// Which of a subscriber's subscriptions have something new, in the order in which that came. It lives in
/// them, so that most subscribers, who have one, pay nothing for it.
class DueList {
 public:
  [[nodiscard]] bool empty() const noexcept { return first_ == Subscription::none; }
  void push(std::span<Subscription> all, std::uint32_t number) noexcept {
    if (std::exchange(all[number].due, true)) return;
    all[number].next_due = Subscription::none;
    (empty() ? first_ : all[last_].next_due) = number;
    last_ = number;
  }
  /// Until `visit(number)` is false; then `all` may be gone.
  template <class Visit>
  void walk(std::span<Subscription> all, Visit visit) const {
    for (std::uint32_t number = first_; number != Subscription::none;) {
      if (!visit(number)) return;
      number = all[number].next_due;
    }
  }
  template <class Keep>
  void keep_if(std::span<Subscription> all, Keep keep) noexcept {
    std::uint32_t number = std::exchange(first_, Subscription::none);
    while (number != Subscription::none) {
      const std::uint32_t next = all[number].next_due;
      all[number].due = false;
      if (keep(all[number])) push(all, number);
      number = next;
    }
  }
  void clear() noexcept { first_ = Subscription::none; }

 private:
  std::uint32_t first_ = Subscription::none;
  std::uint32_t last_ = Subscription::none;
};

/// Where a subscriber begins that joins now.
[[nodiscard]] Sequence joining_point(const Log& log, const config::Join& join) noexcept;
/// Where one goes on that is to be helped by `policy`; `disconnect` is the caller's.
[[nodiscard]] Sequence point_after_lag(const Log& log, Sequence next, config::OnLag policy) noexcept;

}  // namespace holdfast::feed
