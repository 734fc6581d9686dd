#pragma once
// Counting cells of feeds: of the subscribers on one pump thread, and of the sources.

#include "holdfast/metrics/cells.hpp"

namespace holdfast::metrics {

inline constexpr std::size_t lag_policy_count = 4;  ///< in the order of config::OnLag

/// Writer: one pump thread.
struct alignas(cache_line_bytes) FeedCells {
  FeedCells() noexcept;
  Gauge subscribers;
  Gauge subscriptions;  ///< channels that they follow, each counted for each
  Counter deliveries;   ///< messages handed to the kernel, once per subscriber
  Counter delivered_bytes;
  std::array<Counter, lag_policy_count> skips;  ///< messages that a subscriber did not get
  Counter forwards_dropped;                     ///< messages of clients that never reached the source thread
  Counter too_slow;                             ///< subscribers that were disconnected
  Counter refused_channels;                     ///< beyond what one client may have
  Histogram delivery;                           ///< read from the source to handed to the kernel
  Histogram spread;  ///< first to last subscriber of a message that none was late for
};

/// Writer: the source thread.
struct alignas(cache_line_bytes) SourceCells {
  Gauge channels;     ///< that somebody wants, or that linger
  Gauge connections;  ///< open ones
  Gauge wanted;       ///< that should be open
  Gauge dark;         ///< channels without an open one
  Counter messages;
  Counter bytes;       ///< payload
  Counter deflations;  ///< one a message, where a subscriber takes deflated ones
  Counter duplicates;  ///< of several connections to one source, thrown away
  Counter connects_ok;
  Counter connects_failed;
  Counter forwarded;         ///< messages of clients that the source got
  Counter forwards_dropped;  ///< and those that it did not
  // With a dialect.
  Counter subscribes;    ///< commands to the source
  Counter unsubscribes;  ///< the same
  Counter refusals;      ///< channels that could not be had
  Counter answered;      ///< questions of clients
  Counter unanswered;    ///< those that got an error of ours
  Counter shared;        ///< those that were not asked, because the same was under way
  Counter strays;        ///< messages of the source that are for no channel and no question
  Counter losses;        ///< connections that ended without our will
};

}  // namespace holdfast::metrics
