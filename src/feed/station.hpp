#pragma once
// One feed on the source thread: its hub, and the connections to its source. There are two kinds: an opaque
// feed has a connection per channel (path_station.cpp), one with a dialect many channels on each
// (spoken_station.cpp).
//
// Thread: the source thread's.

#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <string>
#include <vector>

#include "feed/allowance.hpp"
#include "holdfast/feed/hub.hpp"
#include "holdfast/feed/source_thread.hpp"

namespace holdfast::feed {

class Station : protected Hub::Host {
 public:
  /// The kind that the dialect needs.
  [[nodiscard]] static std::unique_ptr<Station> make(SourceThread& thread, const SourceThread::Feed& feed);
  Station(const Station&) = delete;
  Station& operator=(const Station&) = delete;
  virtual ~Station() = default;

  [[nodiscard]] Hub& hub() noexcept { return hub_; }
  /// A reload that keeps the kind.
  virtual void apply(const SourceThread::Feed& feed, TimePoint now) = 0;
  virtual void tick(TimePoint now) = 0;
  /// A client's message for the source; of 0: no channel's.
  virtual void forward(ChannelId id, ws::Opcode opcode, std::span<const std::byte> message) = 0;
  virtual void publish(ChannelId id, const Writer::Message& message) = 0;
  virtual void ask(Question&& question) = 0;
  virtual void renew(ChannelId id) = 0;
  [[nodiscard]] virtual std::vector<SourceView> views(std::size_t most) const = 0;
  /// The feed is gone: all its clients end, spread over a time. Who is here is served until his turn.
  void announce_end(std::chrono::milliseconds spread);
  /// How long a connection of this feed must wait until the source allows it; 0 = go, and that counts.
  [[nodiscard]] Clock::duration wait_to_connect(TimePoint now);

 protected:
  Station(SourceThread& thread, const SourceThread::Feed& feed);
  void set_limits();
  template <class Item>
  void send_item(std::size_t audience, Item&& item) {
    thread_.audiences()[audience]->send(std::make_unique<std::decay_t<Item>>(std::forward<Item>(item)));
  }

  SourceThread& thread_;
  Hub hub_;

 private:
  void send(std::size_t audience, Opened&& item) override { send_item(audience, std::move(item)); }
  void send(std::size_t audience, Ended&& item) override { send_item(audience, std::move(item)); }
  void send(std::size_t audience, Ruled&& item) override { send_item(audience, std::move(item)); }
  void send(std::size_t audience, Refused&& item) override { send_item(audience, std::move(item)); }
  void publish(std::size_t audience, const std::shared_ptr<const Batch>& batch) override;
  void publish_at(TimePoint when) override;

  Allowance connects_{0, std::chrono::minutes(5)};
  /// Its handler may be queued already when the station dies.
  std::shared_ptr<boost::asio::steady_timer> flush_timer_;
};

[[nodiscard]] std::unique_ptr<Station> make_path_station(SourceThread& thread,
                                                         const SourceThread::Feed& feed);
[[nodiscard]] std::unique_ptr<Station> make_spoken_station(SourceThread& thread,
                                                           const SourceThread::Feed& feed);
/// What the configuration says; where that is 0, what the dialect says. 0 = no limit.
[[nodiscard]] constexpr std::uint32_t limit_of(std::uint32_t configured, std::uint32_t of_dialect) noexcept {
  return configured == 0 ? of_dialect : configured;
}

}  // namespace holdfast::feed
