// Subscribers that can't keep up: too slow is who is behind by more than `slow.behind` and takes less than
// `slow.floor` over `slow.window`. A burst that is made up for is none.

#include <algorithm>

#include "feed/subscriber.hpp"

namespace holdfast::feed {

// False: that was its end.
bool Subscriber::help(Subscription& place, config::OnLag policy) noexcept {
  if (policy == config::OnLag::disconnect) {
    end(Reason::too_slow);
    return false;
  }
  const Sequence to = point_after_lag(place.channel->log, place.next, policy);
  if (to == place.next) return true;
  feed_.cells(pump_thread()).skips[static_cast<std::size_t>(policy)].add(to - place.next);
  // What is state has a newer value; of the rest it is told.
  if (dialogue_ != nullptr && policy != config::OnLag::conflate)
    place.missed += static_cast<std::uint32_t>(to - place.next);
  place.next = to;
  return true;
}

// It is blocked and has something to get: from now on what it takes is watched. The timer looks, for this is
// called while others walk through the channel's followers.
void Subscriber::watch() noexcept {
  if (marked_) return;
  marked_ = true;
  slow_since_ = loop().now();
  taken_at_mark_ = static_cast<std::uint32_t>(to_client_.frames);
  loop().timers().arm(*this, loop().now() + 1);
}

void Subscriber::look_at_lag(Tick now, std::uint32_t& wait_ms) noexcept {
  if (!marked_) return;
  const std::uint32_t watched = elapsed_ms(slow_since_, now);
  const std::uint64_t taken = static_cast<std::uint32_t>(to_client_.frames) - taken_at_mark_;
  bool is_over = true;  // each window
  bool is_open = true;
  due_.walk(subscriptions_.all(), [&](std::uint32_t number) {
    Subscription& place = subscriptions_[number];
    const config::Slow& slow = place.channel->rules.slow;
    const auto window = static_cast<std::uint32_t>(slow.window.count());
    wait_ms = std::min(wait_ms, watched < window ? window - watched : window);
    is_over = is_over && watched >= window;
    if (watched < window) return true;
    const Log& log = place.channel->log;
    const bool crawls = taken * 1000 < std::uint64_t{slow.floor} * watched || taken == 0;
    const bool is_behind = place.next < log.begin() ||
                           (place.next < log.end() && Clock::now() - log.at(place.next).came > slow.behind);
    is_open = !crawls || !is_behind || help(place, place.channel->rules.on_lag);
    return is_open;
  });
  if (!is_open || !is_over) return;
  slow_since_ = now;
  taken_at_mark_ = static_cast<std::uint32_t>(to_client_.frames);
}

}  // namespace holdfast::feed
