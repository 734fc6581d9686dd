// A feed with a dialect: clients say what they want, and many channels share a connection to the source. It
// opens as many as the source's limits and the channels' lanes need.

#include <algorithm>
#include <utility>

#include "feed/requests.hpp"
#include "feed/station.hpp"
#include "feed/trunk.hpp"

namespace holdfast::feed {

namespace {

// How long a question waits for a source that can't be had.
constexpr std::chrono::seconds patience{1};

class SpokenStation final : public Station, private Trunk::Owner, private Requests::Host {
 public:
  SpokenStation(SourceThread& thread, const SourceThread::Feed& feed)
      : Station(thread, feed), requests_(numbers_, static_cast<Requests::Host&>(*this)) {}
  ~SpokenStation() override {
    requests_.refuse_all({dialect::Fault::source_gone, "this feed is gone", {}});
    hub_.end_all(std::chrono::milliseconds(0));
    while (!trunks_.empty()) close(trunks_.begin());
  }

  void apply(const SourceThread::Feed& feed, TimePoint now) override {
    const bool is_same = feed.settings.source == hub_.settings().source &&
                         feed.settings.dialect == hub_.settings().dialect &&
                         feed.settings.dialect_text == hub_.settings().dialect_text;
    hub_.apply(feed.settings, feed.dialect, now);
    set_limits();
    if (is_same) return;
    if (!has_source()) {
      while (!trunks_.empty()) close(trunks_.begin());
    } else if (trunks_.empty()) {
      hub_.for_each([this](Hub::Channel& each) { open_source(each); });
    } else {
      for (const auto& trunk : trunks_) trunk->replace();
    }
  }
  void tick(TimePoint now) override {
    for (const auto& trunk : trunks_) trunk->tick(now);
    hub_.tick(now);
    requests_.tick(now, hub_.settings().request_timeout, patience);
    for (auto each = trunks_.begin(); each != trunks_.end();) {
      const bool asks = (each == trunks_.begin() && requests_.size() != 0) || (*each)->keeps_words();
      const bool is_over =
          (*each)->size() == 0 && !asks && now - (*each)->idle_since() >= hub_.settings().linger;
      each = is_over ? close(each) : std::next(each);
    }
  }
  void forward(ChannelId id, ws::Opcode, std::span<const std::byte> message) override {
    Hub::Channel* const channel = hub_.find(id);
    if (id != 0 && channel == nullptr) return;
    Trunk* const trunk = channel == nullptr ? any() : trunk_of(*channel);
    if (trunk != nullptr) trunk->note_use(Clock::now());
    metrics::SourceCells& cells = hub_.feed().source_cells();
    const std::string_view text(reinterpret_cast<const char*>(message.data()), message.size());
    (trunk != nullptr && trunk->forward(text) ? cells.forwarded : cells.forwards_dropped).add();
  }
  void publish(ChannelId id, const Writer::Message& message) override {
    Hub::Channel* const channel = hub_.find(id);
    if (channel == nullptr) return;
    hub_.came(*channel, message);
    hub_.publish();
  }
  void ask(Question&& question) override {
    if (Trunk* const trunk = any()) trunk->note_use(Clock::now());
    const std::size_t before = requests_.size();
    requests_.ask(std::move(question), Clock::now());
    if (requests_.size() == before) hub_.feed().source_cells().shared.add();
  }
  void renew(ChannelId id) override {
    Hub::Channel* const channel = hub_.find(id);
    if (channel == nullptr) return;
    hub_.publish_now();
    // It has come meanwhile.
    if (channel->log.latest_snapshot() != channel->log.end()) return;
    if (Trunk* const trunk = trunk_of(*channel)) trunk->renew(*channel);
  }
  [[nodiscard]] std::vector<SourceView> views(std::size_t most) const override {
    std::vector<SourceView> seen;
    for (const auto& trunk : trunks_) {
      for (SourceView& each : trunk->views(Clock::now())) {
        each.channel = trunk->lane();
        each.channels = trunk->size();
        if (seen.size() < most) seen.push_back(std::move(each));
      }
    }
    return seen;
  }

 private:
  using Trunks = std::vector<std::unique_ptr<Trunk>>;

  // Hub::Host
  void open_source(Hub::Channel& channel) override {
    if (!has_source()) return hub_.confirm(channel);
    const std::uint32_t most = limit_of(hub_.settings().source.limits.subscriptions_per_connection,
                                        hub_.dialect()->limits().keys_per_connection);
    const auto free = std::ranges::find_if(trunks_, [&](const auto& each) {
      return each->lane() == channel.lane && (most == 0 || each->size() < most);
    });
    Trunk& trunk = free == trunks_.end() ? open(channel.lane) : **free;
    trunk.add(channel, Clock::now());
  }
  void close_source(Hub::Channel& channel) noexcept override {
    const auto trunk = std::ranges::find_if(trunks_, [&](const auto& each) { return each->has(channel); });
    if (trunk != trunks_.end()) (*trunk)->remove(channel);
  }

  // Trunk::Owner
  Hub& hub() noexcept override { return hub_; }
  dialect::Scratch& scratch() noexcept override { return scratch_; }
  std::uint64_t& numbers() noexcept override { return numbers_; }
  Clock::duration wait_to_connect(TimePoint now) override { return Station::wait_to_connect(now); }
  void opened() override { requests_.opened(); }
  void closed(Requests::Connection connection) override { requests_.closed(connection); }
  void answered(const dialect::SourceAct& act, std::string_view message) override {
    if (!requests_.take(act, message)) hub_.feed().source_cells().strays.add();
  }
  void broadcast(std::string_view message) override {
    for (std::size_t n = 0; n < thread_.audiences().size(); ++n) {
      Broadcast item;
      item.feed = &hub_.feed();
      item.text = message;
      send_item(n, std::move(item));
    }
  }
  bool waits_on(Requests::Connection connection) const noexcept override {
    return requests_.waits_on(connection);
  }

  // Requests::Host
  Requests::Connection say(std::string_view text) override {
    // When it has timed out, nobody wants to know any more.
    const TimePoint until = Clock::now() + hub_.settings().request_timeout;
    return trunks_.empty() ? 0 : trunks_.front()->say(text, until);
  }
  void answer(const Asker& asker, std::string text) override {
    hub_.feed().source_cells().answered.add();
    Answered item;
    item.asker = asker;
    item.text = std::move(text);
    send_item(asker.audience, std::move(item));
  }
  void refuse(const Asker& asker, const Refusal& why) override {
    hub_.feed().source_cells().unanswered.add();
    Answered item;
    item.asker = asker;
    item.why = why;
    send_item(asker.audience, std::move(item));
  }

  Trunk& open(const std::string& lane) {
    auto trunk = std::make_unique<Trunk>(thread_, static_cast<Trunk::Owner&>(*this), lane);
    return *trunks_.emplace_back(std::move(trunk));
  }
  // Not among the others any more when its connections end.
  Trunks::iterator close(Trunks::iterator which) {
    const std::unique_ptr<Trunk> gone = std::move(*which);
    return trunks_.erase(which);
  }
  // Null: the feed has no source.
  Trunk* any() {
    if (trunks_.empty() && has_source()) return &open({});
    return trunks_.empty() ? nullptr : trunks_.front().get();
  }
  // Rooms need none.
  [[nodiscard]] bool has_source() const noexcept {
    const config::Source& source = hub_.settings().source;
    return !source.urls.empty() || !source.upstream.empty();
  }
  [[nodiscard]] Trunk* trunk_of(const Hub::Channel& channel) {
    const auto found = std::ranges::find_if(trunks_, [&](const auto& each) { return each->has(channel); });
    return found == trunks_.end() ? nullptr : found->get();
  }

  std::uint64_t numbers_ = 0;
  dialect::Scratch scratch_;
  Trunks trunks_;
  Requests requests_;
};

}  // namespace

std::unique_ptr<Station> make_spoken_station(SourceThread& thread, const SourceThread::Feed& feed) {
  return std::make_unique<SpokenStation>(thread, feed);
}

}  // namespace holdfast::feed
