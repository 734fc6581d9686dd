#pragma once
// Where the messages of many channels come by: one line to the source, and on each of its connections a
// conversation that asks for the channels. It tells apart what is for which channel, and what came before.
//
// Thread: the source thread's.

#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "feed/conversation.hpp"
#include "feed/line.hpp"
#include "feed/order.hpp"
#include "feed/requests.hpp"
#include "holdfast/dialect/scratch.hpp"
#include "holdfast/feed/hub.hpp"

namespace holdfast::feed {

class Trunk final : private Line::Receiver {
 public:
  /// What the trunks of a feed share. Outlives them.
  class Owner {
   public:
    [[nodiscard]] virtual Hub& hub() noexcept = 0;
    [[nodiscard]] virtual dialect::Scratch& scratch() noexcept = 0;
    [[nodiscard]] virtual std::uint64_t& numbers() noexcept = 0;
    [[nodiscard]] virtual Clock::duration wait_to_connect(TimePoint now) = 0;
    virtual void opened() = 0;
    virtual void closed(Requests::Connection connection) = 0;
    /// Not what was asked here: a request's, or nobody's.
    virtual void answered(const dialect::SourceAct& act, std::string_view message) = 0;
    virtual void broadcast(std::string_view message) = 0;
    [[nodiscard]] virtual bool waits_on(Requests::Connection connection) const noexcept = 0;

   protected:
    ~Owner() = default;
  };

  /// `lane`: of its channels' keys.
  Trunk(SourceThread& thread, Owner& owner, std::string lane);
  Trunk(const Trunk&) = delete;
  Trunk& operator=(const Trunk&) = delete;
  ~Trunk();

  void add(Hub::Channel& channel, TimePoint now);
  void remove(Hub::Channel& channel);
  [[nodiscard]] bool has(const Hub::Channel& channel) const { return channels_.contains(channel.key); }
  void renew(const Hub::Channel& channel);
  /// To any connection, which it names; 0: there is none, or it has too much to say already.
  [[nodiscard]] Requests::Connection say(std::string_view text, TimePoint until = TimePoint::max());
  /// The same for what needs no answer: a little is kept while there is no connection. False: it is lost.
  [[nodiscard]] bool forward(std::string_view text);
  void tick(TimePoint now);
  /// Others take over from the present connections, by the hub's settings and dialect.
  void replace() { line_.replace(owner_.hub().settings()); }

  [[nodiscard]] const std::string& lane() const noexcept { return lane_; }
  [[nodiscard]] std::size_t size() const noexcept { return channels_.size(); }
  /// Words of clients wait for a connection.
  [[nodiscard]] bool keeps_words() const noexcept { return !kept_.empty(); }
  /// Since when it has no channel.
  [[nodiscard]] TimePoint idle_since() const noexcept { return idle_since_; }
  void note_use(TimePoint now) noexcept { idle_since_ = now; }
  [[nodiscard]] std::vector<SourceView> views(TimePoint now) const { return line_.views(now); }

 private:
  static constexpr std::size_t nobody = SIZE_MAX;
  struct Talk;
  struct Place {
    Hub::Channel* channel = nullptr;
    bool was_cut = false;        ///< no connection had it since it was open
    bool has_snapshots = false;  ///< then one connection's messages count, from its snapshot on
    std::size_t lead = nobody;   ///< that one
    Order order;                 ///< of messages with numbers
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };

  void opened(std::size_t slot) override;
  void closed(std::size_t slot) override;
  void came(std::size_t slot, const Writer::Message& message) override;
  void read_is_over() override { owner_.hub().publish(); }
  bool has_taken_over(std::size_t slot, Clock::duration open_for) override;
  std::string ping(std::size_t slot) override;
  bool may_pong(std::size_t slot) override;
  Clock::duration wait_to_connect(TimePoint now) override { return owner_.wait_to_connect(now); }

  void confirmed(const std::string& key);
  void refused(std::size_t slot, const std::string& key, const Refusal& why);
  void deliver(Talk& talk, const dialect::SourceAct& act, const Writer::Message& message);
  [[nodiscard]] bool is_new(std::size_t slot, Place& place, const dialect::SourceAct& act,
                            const Writer::Message& message);
  void release(Place& place, TimePoint patient_until = TimePoint::min());
  void give_up(TimePoint now);
  void tell_gap(Hub::Channel& channel);
  void run();
  void run_at(TimePoint when);

  Owner& owner_;
  std::string lane_;
  std::unordered_map<std::string, Place, Hash, std::equal_to<>> channels_;
  std::map<std::size_t, std::unique_ptr<Talk>> talks_;  ///< by slot
  std::vector<std::string> kept_;                       ///< words of clients, while there is no connection
  std::size_t kept_bytes_ = 0;
  std::string whole_;  ///< a message that was rewritten
  std::string slice_;
  boost::asio::steady_timer timer_;
  TimePoint timer_at_ = TimePoint::max();
  std::shared_ptr<int> life_ = std::make_shared<int>();  ///< a timer that is over already may find us gone
  TimePoint idle_since_;
  Line line_;  ///< last: its end is told to the others
};

}  // namespace holdfast::feed
