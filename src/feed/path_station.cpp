// A feed whose messages nobody reads: each channel has a connection to the source of its own.

#include <array>
#include <functional>
#include <map>
#include <string_view>
#include <utility>

#include "feed/line.hpp"
#include "feed/station.hpp"

namespace holdfast::feed {

namespace {

// How long a new connection may be open without a word before the old one goes all the same.
constexpr std::chrono::seconds longest_silence_at_rotation{5};

class PathStation final : public Station {
 public:
  PathStation(SourceThread& thread, const SourceThread::Feed& feed) : Station(thread, feed) {}
  ~PathStation() override { hub_.end_all(std::chrono::milliseconds(0)); }

  void apply(const SourceThread::Feed& feed, TimePoint now) override {
    const bool same_source = feed.settings.source == hub_.settings().source;
    // Other names: what a channel stands for can't be told from its old one.
    if (feed.settings.channel != hub_.settings().channel) hub_.end_all(std::chrono::milliseconds(0));
    hub_.apply(feed.settings, feed.dialect, now);
    set_limits();
    if (same_source) return;
    for (auto& [channel, branch] : branches_) branch->line.replace(feed.settings);
  }
  void tick(TimePoint now) override {
    for (auto& [channel, branch] : branches_) branch->line.tick(now);
    hub_.tick(now);
  }
  void forward(ChannelId id, ws::Opcode opcode, std::span<const std::byte> message) override {
    Hub::Channel* const channel = hub_.find(id);
    if (channel != nullptr) branches_.at(channel)->line.forward(opcode, message);
  }
  [[nodiscard]] std::vector<SourceView> views(std::size_t most) const override {
    std::vector<SourceView> seen;
    for (const auto& [channel, branch] : branches_) {
      for (SourceView& each : branch->line.views(Clock::now())) {
        if (seen.size() < most) seen.push_back(std::move(each));
      }
    }
    return seen;
  }
  // Without a dialect nobody says any of this.
  void publish(ChannelId, const Writer::Message&) override {}
  void ask(Question&& question) override {
    Answered none;
    none.asker = std::move(question.asker);
    none.why = {dialect::Fault::refused, "this feed answers nothing", {}};
    send_item(none.asker.audience, std::move(none));
  }
  void renew(ChannelId) override {}

 private:
  // A channel with its line.
  struct Branch final : private Line::Receiver {
    Branch(PathStation& of, Hub::Channel& named)
        : station(of),
          channel(named),
          line(of.thread_, of.hub_.feed(), static_cast<Line::Receiver&>(*this), of.hub_.settings(),
               named.key) {}
    void opened(std::size_t slot) override { spoke[slot] = false; }
    void closed(std::size_t) override {}
    void came(std::size_t slot, const Writer::Message& message) override {
      spoke[slot] = true;
      const std::string_view text(reinterpret_cast<const char*>(message.payload.data()),
                                  message.payload.size());
      const bool is_double =
          line.dedupes() && !line.is_first(slot, std::hash<std::string_view>{}(text), message.came);
      if (!is_double) station.hub_.came(channel, message);
    }
    void read_is_over() override { station.hub_.publish(); }
    bool has_taken_over(std::size_t slot, Clock::duration open_for) override {
      return spoke[slot] || open_for > longest_silence_at_rotation;
    }
    std::string ping(std::size_t) override { return {}; }
    Clock::duration wait_to_connect(TimePoint now) override { return station.wait_to_connect(now); }

    PathStation& station;
    Hub::Channel& channel;
    std::array<bool, Deduper::most_slots> spoke{};
    Line line;
  };

  void open_source(Hub::Channel& channel) override {
    hub_.confirm(channel);
    // Last: a source may have its first message here before this returns.
    branches_.emplace(&channel, std::make_unique<Branch>(*this, channel));
  }
  void close_source(Hub::Channel& channel) noexcept override { branches_.erase(&channel); }

  std::map<Hub::Channel*, std::unique_ptr<Branch>> branches_;
};

}  // namespace

std::unique_ptr<Station> make_path_station(SourceThread& thread, const SourceThread::Feed& feed) {
  return std::make_unique<PathStation>(thread, feed);
}

}  // namespace holdfast::feed
