#pragma once
// A channel as one pump thread knows it: its log, and who follows it from where.

#include <cstdint>
#include <string>
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
  bool is_orphan = false;  ///< the hub knows it no more
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
  Channel* channel = nullptr;
  Sequence next = 0;        ///< to be sent
  Sequence fresh = 0;       ///< what comes from here on has come since it joined
  std::uint32_t place = 0;  ///< in channel->followers
  bool joined = false;      ///< the channel was open, `next` counts
  bool due = false;         ///< in the subscriber's list of those with something new
};

/// Where a subscriber begins that joins now.
[[nodiscard]] Sequence joining_point(const Log& log, const config::Join& join) noexcept;
/// Where one goes on that is to be helped by `policy`; `disconnect` is the caller's.
[[nodiscard]] Sequence point_after_lag(const Log& log, Sequence next, config::OnLag policy) noexcept;

}  // namespace holdfast::feed
