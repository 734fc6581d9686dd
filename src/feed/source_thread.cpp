#include "holdfast/feed/source_thread.hpp"

#include <pthread.h>

#include <boost/asio/post.hpp>
#include <future>
#include <utility>

#include "feed/line.hpp"
#include "feed/resolver.hpp"
#include "holdfast/config/load.hpp"

namespace holdfast::feed {

namespace asio = boost::asio;

namespace {
constexpr std::chrono::milliseconds tick_period{100};
// What clients may have said to one feed's source and this thread has not come to.
constexpr std::size_t most_forwards_under_way = 4UL << 20;
constexpr std::size_t forward_overhead = 256;
}  // namespace

/// One feed with its sources.
class SourceThread::Station final : private Hub::Host {
 public:
  Station(SourceThread& thread, FeedState& feed, config::Feed settings)
      : thread_(thread),
        hub_(feed, thread.audiences_.size(), std::move(settings), static_cast<Hub::Host&>(*this)) {}
  ~Station() { hub_.end_all(std::chrono::milliseconds(0)); }

  [[nodiscard]] Hub& hub() noexcept { return hub_; }
  void announce_end(std::chrono::milliseconds spread) { hub_.announce_end(spread); }

  void apply(const config::Feed& settings) {
    const bool same_source = settings.source == hub_.settings().source;
    // Other names: what a channel stands for can't be told from its old one.
    if (settings.channel != hub_.settings().channel) hub_.end_all(std::chrono::milliseconds(0));
    hub_.apply(settings, Clock::now());
    if (same_source) return;
    for (auto& [channel, branch] : branches_) branch->line.replace(settings);
  }
  void tick(TimePoint now) {
    for (auto& [channel, branch] : branches_) branch->line.tick(now);
    hub_.tick(now);
  }
  void forward(ChannelId id, ws::Opcode opcode, std::span<const std::byte> message) {
    Hub::Channel* const channel = hub_.find(id);
    if (channel == nullptr) return;
    branches_.at(channel)->line.forward(opcode, message);
  }
  [[nodiscard]] std::vector<SourceView> views(std::size_t most) const {
    std::vector<SourceView> seen;
    for (const auto& [channel, branch] : branches_) {
      for (SourceView& each : branch->line.views(Clock::now())) {
        if (seen.size() < most) seen.push_back(std::move(each));
      }
    }
    return seen;
  }

 private:
  // A channel with its line.
  struct Branch final : private Line::Receiver {
    Branch(Station& station, Hub::Channel& of)
        : hub(station.hub_),
          channel(of),
          line(station.thread_, station.hub_.feed(), static_cast<Line::Receiver&>(*this),
               station.hub_.settings(), of.key) {}
    void came(const Writer::Message& message) override { hub.came(channel, message); }
    void read_is_over() override { hub.publish(); }
    Hub& hub;
    Hub::Channel& channel;
    Line line;
  };

  void open_source(Hub::Channel& channel) override {
    branches_.emplace(&channel, std::make_unique<Branch>(*this, channel));
  }
  void close_source(Hub::Channel& channel) noexcept override { branches_.erase(&channel); }
  template <class Item>
  void send_item(std::size_t audience, Item&& item) {
    thread_.audiences_[audience]->send(std::make_unique<std::decay_t<Item>>(std::forward<Item>(item)));
  }
  void send(std::size_t audience, Opened&& item) override { send_item(audience, std::move(item)); }
  void send(std::size_t audience, Ended&& item) override { send_item(audience, std::move(item)); }
  void send(std::size_t audience, Ruled&& item) override { send_item(audience, std::move(item)); }
  void publish(std::size_t audience, const std::shared_ptr<const Batch>& batch) override {
    auto item = std::make_unique<Published>();
    item->batch = batch;
    thread_.audiences_[audience]->send(std::move(item));
  }

  SourceThread& thread_;
  std::map<Hub::Channel*, std::unique_ptr<Branch>> branches_;
  Hub hub_;
};

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
  asio::post(io_, [this, spread, feeds = std::move(feeds)]() mutable {
    std::map<const FeedState*, std::unique_ptr<Station>> present;
    for (auto& [feed, settings] : feeds) {
      auto& station = present[feed];
      const auto found = stations_.find(feed);
      const auto leaving = leaving_.find(feed);
      if (leaving != leaving_.end()) {
        station = std::move(leaving->second.station);
        leaving_.erase(leaving);
        station->apply(settings);
      } else if (found == stations_.end()) {
        station = std::make_unique<Station>(*this, *feed, std::move(settings));
      } else {
        station = std::move(found->second);
        station->apply(settings);
      }
    }
    for (auto& [feed, station] : stations_) {
      if (station == nullptr) continue;
      station->announce_end(spread);
      leaving_[feed] = {std::move(station), Clock::now() + spread};
    }
    stations_.swap(present);
  });
}

void SourceThread::want(FeedState& feed, const std::string& key, std::size_t audience) noexcept {
  asio::post(io_, [this, &feed, key, audience] {
    const auto found = stations_.find(&feed);
    if (found != stations_.end()) return found->second->hub().want(key, audience, Clock::now());
    auto gone = std::make_unique<Ended>();
    gone->feed = &feed;
    gone->key = key;
    gone->reason = Reason::feed_gone;
    audiences_[audience]->send(std::move(gone));
  });
}

SourceThread::Station* SourceThread::station_of(const FeedState& feed) {
  const auto found = stations_.find(&feed);
  if (found != stations_.end()) return found->second.get();
  const auto leaving = leaving_.find(&feed);
  return leaving == leaving_.end() ? nullptr : leaving->second.station.get();
}

void SourceThread::leave(FeedState& feed, ChannelId channel, std::size_t audience) noexcept {
  asio::post(io_, [this, &feed, channel, audience] {
    if (Station* const found = station_of(feed)) found->hub().leave(channel, audience, Clock::now());
  });
}

bool SourceThread::forward(FeedState& feed, ChannelId channel, ws::Opcode opcode,
                           std::vector<std::byte> message) noexcept {
  const std::size_t cost = message.size() + forward_overhead;
  if (feed.forwards_under_way.fetch_add(cost, std::memory_order_relaxed) > most_forwards_under_way) {
    feed.forwards_under_way.fetch_sub(cost, std::memory_order_relaxed);
    return false;
  }
  asio::post(io_, [this, &feed, channel, opcode, cost, message = std::move(message)] {
    feed.forwards_under_way.fetch_sub(cost, std::memory_order_relaxed);
    if (Station* const found = station_of(feed)) found->forward(channel, opcode, message);
  });
  return true;
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
