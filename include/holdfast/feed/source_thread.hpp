#pragma once
// The thread that reads all sources: it keeps one Hub per feed and the connections to where messages come
// from, and publishes what has come, one batch per read.
//
// Threads: `apply`, `want`, `leave`, `forward`, `stop` and construction any (they post); the rest its own.

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "holdfast/dial/dial.hpp"
#include "holdfast/feed/audience.hpp"
#include "holdfast/feed/hub.hpp"
#include "holdfast/net/socket.hpp"
#include "holdfast/session/shard.hpp"

namespace holdfast::feed {

class Resolver;
class Station;

/// How sources with wss:// URLs are spoken to; an Error names what is wrong with the file.
[[nodiscard]] Result<std::shared_ptr<const net::TlsClient>> source_tls(const config::Source& settings);

/// For people: a channel's source as /status tells it.
struct SourceView {
  std::string channel;         ///< with a dialect: the lane
  std::uint64_t channels = 1;  ///< that come by it
  std::string url;             ///< or upstream/backend
  std::string state;           ///< "connecting", "open", "waiting"
  std::uint64_t since_ms = 0;
  std::uint64_t messages = 0;
  std::uint64_t silent_ms = 0;
  std::uint64_t connects = 0;
  std::string last_error;
};

class SourceThread final : public HubPort {
 public:
  struct Surroundings {
    net::DescriptorBudget* budget = nullptr;
    session::WarningSink* log = nullptr;
    /// The upstream of that name in the present snapshot; null when there is none. Any thread.
    std::function<std::shared_ptr<const dial::Destination>(const std::string&)> find_upstream;
  };

  SourceThread();
  SourceThread(const SourceThread&) = delete;
  SourceThread& operator=(const SourceThread&) = delete;
  ~SourceThread();

  /// `audiences` outlive the thread's run: until `join`.
  void start(Surroundings surroundings, std::vector<Audience*> audiences);
  void stop() noexcept;
  void join();

  struct Feed {
    FeedState* state = nullptr;
    config::Feed settings;
    std::shared_ptr<const dialect::Dialect> dialect;
  };
  /// The feeds of the configuration in force; the subscribers of others end, spread over a time.
  using Feeds = std::vector<Feed>;
  void apply(Feeds feeds, std::chrono::milliseconds spread);

  // HubPort
  void want(FeedState& feed, const std::string& key, const std::string& lane,
            std::size_t audience) noexcept override;
  void leave(FeedState& feed, ChannelId channel, std::size_t audience) noexcept override;
  void withdraw(FeedState& feed, const std::string& key, std::size_t audience) noexcept override;
  [[nodiscard]] bool forward(FeedState& feed, ChannelId channel, ws::Opcode opcode,
                             std::vector<std::byte> message) noexcept override;
  [[nodiscard]] bool publish(FeedState& feed, ChannelId channel, ws::Opcode opcode,
                             std::vector<std::byte> message, Origin origin) noexcept override;
  [[nodiscard]] bool ask(FeedState& feed, Question question) noexcept override;
  void count(FeedState& feed, ChannelId channel, std::size_t audience,
             std::size_t followers) noexcept override;
  void renew(FeedState& feed, ChannelId channel) noexcept override;

  /// Up to `most` of each feed; waits for the thread's answer, a second at most: then there are none.
  using Sources = std::map<const FeedState*, std::vector<SourceView>>;
  [[nodiscard]] Sources sources(std::size_t most);

  [[nodiscard]] boost::asio::io_context& io() noexcept { return io_; }
  [[nodiscard]] Resolver& resolver() noexcept { return *resolver_; }
  [[nodiscard]] const Surroundings& surroundings() const noexcept { return surroundings_; }
  [[nodiscard]] const std::vector<Audience*>& audiences() const noexcept { return audiences_; }

 private:
  void tick();
  [[nodiscard]] Station* station_of(const FeedState& feed);  ///< also of one that leaves
  [[nodiscard]] std::unique_ptr<Station> take_station(const FeedState& feed);
  /// Within the thread: runs `act(station)`, unless the feed is gone.
  template <class Act>
  void at_station(FeedState& feed, Act act);
  /// The same for what a client has sent, so many bytes. False: too much is under way.
  template <class Act>
  [[nodiscard]] bool bring(FeedState& feed, std::size_t bytes, Act act);

  Surroundings surroundings_;
  std::vector<Audience*> audiences_;
  boost::asio::io_context io_{1};
  boost::asio::steady_timer ticker_{io_};
  std::unique_ptr<Resolver> resolver_;
  std::map<const FeedState*, std::unique_ptr<Station>> stations_;
  /// Of feeds that a reload has removed: they serve until the last of their subscribers had his turn.
  struct Leaving {
    std::unique_ptr<Station> station;
    TimePoint ends_at;
  };
  std::map<const FeedState*, Leaving> leaving_;
  std::thread thread_;
};

}  // namespace holdfast::feed
