#include "feed/station.hpp"

#include <utility>

namespace holdfast::feed {

Station::Station(SourceThread& thread, const SourceThread::Feed& feed)
    : thread_(thread),
      hub_(*feed.state, thread.audiences().size(), feed.settings, feed.dialect,
           static_cast<Hub::Host&>(*this)) {
  set_limits();
}

std::unique_ptr<Station> Station::make(SourceThread& thread, const SourceThread::Feed& feed) {
  return feed.dialect->is_opaque() ? make_path_station(thread, feed) : make_spoken_station(thread, feed);
}

void Station::set_limits() {
  connects_.set(
      limit_of(hub_.settings().source.limits.connects_per_5min, hub_.dialect()->limits().connects_per_5min));
}

void Station::announce_end(std::chrono::milliseconds spread) {
  for (std::size_t n = 0; n < thread_.audiences().size(); ++n) {
    FeedEnded ended;
    ended.feed = &hub_.feed();
    ended.spread = spread;
    send_item(n, std::move(ended));
  }
}

Clock::duration Station::wait_to_connect(TimePoint now) {
  const TimePoint free = connects_.free_at(now);
  if (free > now) return free - now;
  connects_.take(now);
  return {};
}

void Station::publish(std::size_t audience, const std::shared_ptr<const Batch>& batch) {
  auto item = std::make_unique<Published>();
  item->batch = batch;
  thread_.audiences()[audience]->send(std::move(item));
}

void Station::publish_at(TimePoint when) {
  if (flush_timer_ == nullptr) flush_timer_ = std::make_shared<boost::asio::steady_timer>(thread_.io());
  flush_timer_->expires_at(when);
  const std::weak_ptr<boost::asio::steady_timer> timer = flush_timer_;
  flush_timer_->async_wait([this, timer](const boost::system::error_code& error) {
    if (!error && !timer.expired()) hub_.publish_now();
  });
}

}  // namespace holdfast::feed
