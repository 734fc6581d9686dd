#include "holdfast/feed/source_thread.hpp"

#include <pthread.h>

#include <boost/asio/post.hpp>
#include <future>
#include <utility>

#include "feed/station.hpp"

namespace holdfast::feed {

namespace asio = boost::asio;

namespace {
constexpr std::chrono::milliseconds tick_period{100};
// What clients may have said to one feed's source and this thread has not come to.
constexpr std::size_t most_forwards_under_way = 4UL << 20;
constexpr std::size_t forward_overhead = 256;
}  // namespace

SourceThread::SourceThread() = default;

SourceThread::~SourceThread() {
  stop();
  join();
}

void SourceThread::start(Surroundings surroundings, std::vector<Audience*> audiences) {
  surroundings_ = std::move(surroundings);
  audiences_ = std::move(audiences);
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "sources");
    tick();
    io_.run();
  });
}

void SourceThread::stop() noexcept {
  io_.stop();
}

void SourceThread::join() {
  if (thread_.joinable()) thread_.join();
  stations_.clear();
}

void SourceThread::tick() {
  const TimePoint now = Clock::now();
  for (auto& [feed, station] : stations_) station->tick(now);
  ticker_.expires_after(tick_period);
  ticker_.async_wait([this](const boost::system::error_code& error) {
    if (!error) tick();
  });
}

void SourceThread::apply(Feeds feeds, std::chrono::milliseconds spread) {
  asio::post(io_, [this, spread, feeds = std::move(feeds)] {
    std::map<const FeedState*, std::unique_ptr<Station>> present;
    for (const Feed& feed : feeds) {
      const auto found = stations_.find(feed.state);
      const bool stays = found != stations_.end() &&
                         found->second->hub().dialect()->is_opaque() == feed.dialect->is_opaque();
      if (!stays) {
        if (found != stations_.end()) found->second->end(std::chrono::milliseconds(0));
        present[feed.state] = Station::make(*this, feed);
        continue;
      }
      found->second->apply(feed, Clock::now());
      present[feed.state] = std::move(found->second);
      stations_.erase(found);
    }
    for (const auto& [feed, station] : stations_) station->end(spread);
    stations_.swap(present);
  });
}

template <class Act>
void SourceThread::at_station(FeedState& feed, Act act) {
  asio::post(io_, [this, &feed, act = std::move(act)]() mutable {
    const auto found = stations_.find(&feed);
    if (found != stations_.end()) act(*found->second);
  });
}

template <class Act>
bool SourceThread::bring(FeedState& feed, std::size_t bytes, Act act) {
  const std::size_t cost = bytes + forward_overhead;
  if (feed.forwards_under_way.fetch_add(cost, std::memory_order_relaxed) > most_forwards_under_way) {
    feed.forwards_under_way.fetch_sub(cost, std::memory_order_relaxed);
    return false;
  }
  asio::post(io_, [this, &feed, cost, act = std::move(act)]() mutable {
    feed.forwards_under_way.fetch_sub(cost, std::memory_order_relaxed);
    const auto found = stations_.find(&feed);
    act(found == stations_.end() ? nullptr : found->second.get());
  });
  return true;
}

void SourceThread::want(FeedState& feed, const std::string& key, const std::string& lane,
                        std::size_t audience) noexcept {
  asio::post(io_, [this, &feed, key, lane, audience] {
    const auto found = stations_.find(&feed);
    if (found != stations_.end()) return found->second->hub().want(key, lane, audience, Clock::now());
    auto gone = std::make_unique<Ended>();
    gone->feed = &feed;
    gone->key = key;
    gone->reason = Reason::feed_gone;
    audiences_[audience]->send(std::move(gone));
  });
}

void SourceThread::leave(FeedState& feed, ChannelId channel, std::size_t audience) noexcept {
  at_station(feed, [=](Station& station) { station.hub().leave(channel, audience, Clock::now()); });
}

void SourceThread::renew(FeedState& feed, ChannelId channel) noexcept {
  at_station(feed, [=](Station& station) { station.renew(channel); });
}

bool SourceThread::forward(FeedState& feed, ChannelId channel, ws::Opcode opcode,
                           std::vector<std::byte> message) noexcept {
  const std::size_t bytes = message.size();
  return bring(feed, bytes, [channel, opcode, message = std::move(message)](Station* station) {
    if (station != nullptr) station->forward(channel, opcode, message);
  });
}

bool SourceThread::publish(FeedState& feed, ChannelId channel, ws::Opcode opcode,
                           std::vector<std::byte> message, Origin origin) noexcept {
  const std::size_t bytes = message.size();
  return bring(feed, bytes, [channel, opcode, origin, message = std::move(message)](Station* station) {
    if (station == nullptr) return;
    station->publish(channel, {opcode, message, Clock::now(), FrameKind::message, {}, origin});
  });
}

bool SourceThread::ask(FeedState& feed, Question question) noexcept {
  const std::size_t bytes = question.message.size() + question.shared_by.size();
  return bring(feed, bytes, [this, question = std::move(question)](Station* station) mutable {
    if (station != nullptr) return station->ask(std::move(question));
    auto gone = std::make_unique<Answered>();
    gone->asker = std::move(question.asker);
    gone->why = {dialect::Fault::source_gone, "this feed is gone", {}};
    audiences_[gone->asker.audience]->send(std::move(gone));
  });
}

std::vector<SourceView> SourceThread::sources(const FeedState& feed, std::size_t most) {
  auto told = std::make_shared<std::promise<std::vector<SourceView>>>();
  std::future<std::vector<SourceView>> answer = told->get_future();
  asio::post(io_, [this, &feed, most, told] {
    const auto found = stations_.find(&feed);
    told->set_value(found == stations_.end() ? std::vector<SourceView>{} : found->second->views(most));
  });
  if (answer.wait_for(std::chrono::seconds(1)) != std::future_status::ready) return {};
  return answer.get();
}

}  // namespace holdfast::feed
