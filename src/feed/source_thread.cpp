#include "holdfast/feed/source_thread.hpp"

#include <pthread.h>

#include <boost/asio/post.hpp>
#include <future>
#include <utility>

#include "feed/resolver.hpp"
#include "feed/station.hpp"
#include "holdfast/config/load.hpp"

namespace holdfast::feed {

namespace asio = boost::asio;

namespace {
constexpr std::chrono::milliseconds tick_period{100};
// What clients may have said to one feed's source and this thread has not come to.
constexpr std::size_t most_forwards_under_way = 4UL << 20;
constexpr std::size_t forward_overhead = 256;
}  // namespace

SourceThread::SourceThread() : resolver_(std::make_unique<Resolver>(io_, config::real_world().resolve)) {}

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
  leaving_.clear();
}

void SourceThread::tick() {
  const TimePoint now = Clock::now();
  for (auto& [feed, station] : stations_) station->tick(now);
  for (auto& [feed, leaving] : leaving_) leaving.station->tick(now);
  std::erase_if(leaving_, [now](const auto& each) { return now >= each.second.ends_at; });
  ticker_.expires_after(tick_period);
  ticker_.async_wait([this](const boost::system::error_code& error) {
    if (!error) tick();
  });
}

void SourceThread::apply(Feeds feeds, std::chrono::milliseconds spread) {
  asio::post(io_, [this, spread, feeds = std::move(feeds)] {
    const TimePoint now = Clock::now();
    std::map<const FeedState*, std::unique_ptr<Station>> present;
    for (const Feed& feed : feeds) {
      std::unique_ptr<Station> station = take_station(*feed.state);
      // Of another kind: what its clients follow is no more.
      if (station != nullptr && station->hub().dialect()->is_opaque() != feed.dialect->is_opaque()) {
        station->announce_end(std::chrono::milliseconds(0));
        station.reset();
      }
      if (station == nullptr) {
        station = Station::make(*this, feed);
      } else {
        station->apply(feed, now);
      }
      present[feed.state] = std::move(station);
    }
    for (auto& [feed, station] : stations_) {
      station->announce_end(spread);
      leaving_[feed] = {std::move(station), now + spread};
    }
    stations_.swap(present);
  });
}

std::unique_ptr<Station> SourceThread::take_station(const FeedState& feed) {
  if (auto found = stations_.extract(&feed)) return std::move(found.mapped());
  if (auto found = leaving_.extract(&feed)) return std::move(found.mapped().station);
  return nullptr;
}

Station* SourceThread::station_of(const FeedState& feed) {
  const auto found = stations_.find(&feed);
  if (found != stations_.end()) return found->second.get();
  const auto leaving = leaving_.find(&feed);
  return leaving == leaving_.end() ? nullptr : leaving->second.station.get();
}

template <class Act>
void SourceThread::at_station(FeedState& feed, Act act) {
  asio::post(io_, [this, &feed, act = std::move(act)]() mutable {
    if (Station* const found = station_of(feed)) act(*found);
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
    act(station_of(feed));
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

void SourceThread::withdraw(FeedState& feed, const std::string& key, std::size_t audience) noexcept {
  at_station(feed, [=](Station& station) { station.hub().withdraw(key, audience, Clock::now()); });
}

void SourceThread::count(FeedState& feed, ChannelId channel, std::size_t audience,
                         std::size_t followers) noexcept {
  at_station(feed, [=](Station& station) { station.hub().count(channel, audience, followers); });
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

SourceThread::Sources SourceThread::sources(std::size_t most) {
  auto told = std::make_shared<std::promise<Sources>>();
  std::future<Sources> answer = told->get_future();
  asio::post(io_, [this, most, told] {
    Sources seen;
    for (const auto& [feed, station] : stations_) seen[feed] = station->views(most);
    told->set_value(std::move(seen));
  });
  if (answer.wait_for(std::chrono::seconds(1)) != std::future_status::ready) return {};
  return answer.get();
}

}  // namespace holdfast::feed
