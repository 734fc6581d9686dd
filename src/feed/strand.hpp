#pragma once
// One connection to a source that is kept: dialled, read, and dialled again when it ends, until it is
// retired.
//
// Thread: the source thread's. Lifetime: shared by its Line and its coroutines.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "holdfast/dial/dial.hpp"
#include "holdfast/feed/source_thread.hpp"
#include "holdfast/ws/walker.hpp"

namespace holdfast::feed {

/// Who hears of what a strand reads.
class StrandOwner {
 public:
  virtual void opened(std::size_t slot) = 0;
  virtual void came(std::size_t slot, ws::Opcode opcode, std::span<const std::byte> message,
                    TimePoint when) = 0;
  virtual void read_is_over() = 0;  ///< all of one read was told
  virtual void lost(std::size_t slot, const std::string& why) = 0;
  /// What is said in place of a WebSocket ping; "" = that one.
  [[nodiscard]] virtual std::string ping(std::size_t slot) = 0;
  /// Whether the source allows an answer to its ping now; that counts. If not, it gets the latest one with
  /// `pong`.
  [[nodiscard]] virtual bool may_pong(std::size_t slot) = 0;
  /// How long to wait before it dials; 0 = go, and that counts.
  [[nodiscard]] virtual Clock::duration wait_to_connect(TimePoint now) = 0;

 protected:
  ~StrandOwner() = default;
};

class Strand {
 public:
  /// `owner` lives until `retire`; the targets in `settings` have no placeholders any more.
  Strand(SourceThread& thread, StrandOwner& owner, config::Source settings,
         std::vector<std::shared_ptr<const dial::Destination>> destinations, std::size_t slot,
         std::size_t first_url);
  Strand(const Strand&) = delete;
  Strand& operator=(const Strand&) = delete;

  static void start(std::shared_ptr<Strand> strand);
  /// It tells nobody anything any more, says goodbye, and ends.
  void retire();
  /// False: it is not open, or has too much to send already.
  bool send(const std::shared_ptr<Strand>& self, ws::Opcode opcode, std::span<const std::byte> message);

  /// The answer to the latest ping that had to wait.
  void pong(const std::shared_ptr<Strand>& self);
  /// The present connection ends with what was read last; another one is dialled.
  void leave(std::string why) { leave_because_ = std::move(why); }

  [[nodiscard]] bool is_open() const noexcept { return state_ == State::open; }
  [[nodiscard]] std::size_t slot() const noexcept { return slot_; }
  [[nodiscard]] TimePoint opened_at() const noexcept { return since_; }
  /// Its backend should be left: it is no longer eligible.
  [[nodiscard]] bool should_leave() const noexcept;
  [[nodiscard]] SourceView view(TimePoint now) const;

 private:
  enum class State : std::uint8_t { connecting, open, waiting };
  using Self = std::shared_ptr<Strand>;
  template <class T>
  using Task = boost::asio::awaitable<T>;

  static Task<void> run(Self self);
  static Task<void> write(Self self);
  static void start_writing(const Self& self);
  static Task<void> wait_to_connect(Self self);
  [[nodiscard]] static Task<Result<std::string>> open(Self self);
  [[nodiscard]] static Task<Result<config::Address>> resolved(Self self, config::Address address,
                                                              TimePoint deadline);
  [[nodiscard]] static Task<std::string> read(Self self, std::string early);
  [[nodiscard]] Result<void> choose();
  void blame(const Error& error);
  [[nodiscard]] std::string request(const std::string& key) const;
  /// What ends it, or "".
  [[nodiscard]] std::string take(std::span<const std::byte> bytes, std::size_t& used, TimePoint now);
  [[nodiscard]] std::string take_control(std::span<const std::byte> frame, const ws::FrameHeader& header);
  void take_data(std::span<const std::byte> bytes, const ws::Step& step, TimePoint now);
  void write_pong();
  void flush_now();
  void set_deadline(TimePoint now);
  [[nodiscard]] std::string look_at_silence(const Self& self, TimePoint now);
  void enter(State state) noexcept;
  [[nodiscard]] std::chrono::milliseconds pause_before_retry();
  [[nodiscard]] ws::Mask mask() { return static_cast<ws::Mask>(random_()); }

  SourceThread& thread_;
  StrandOwner* owner_;  ///< null: retired
  config::Source settings_;
  std::vector<std::shared_ptr<const dial::Destination>> destinations_;  ///< one per URL, or none
  std::size_t slot_;
  std::size_t url_;
  std::shared_ptr<const dial::Destination> destination_;  ///< of the present try
  upstream::Seat seat_;
  config::Address address_;
  std::string where_;
  std::string host_;
  std::string target_;
  std::unique_ptr<net::AsyncLeg> leg_;
  net::GiveUp give_up_;
  boost::asio::steady_timer timer_;
  ws::Walker walker_{ws::Sender::server};
  std::unique_ptr<std::byte[]> room_;  ///< of what was read and not used
  std::vector<std::byte> message_;     ///< of a message that comes in parts
  ws::Opcode opcode_ = ws::Opcode::text;
  std::vector<std::byte> owed_pong_;  ///< payload of the latest ping
  std::deque<std::string> unsent_;
  std::size_t unsent_bytes_ = 0;
  bool writes_ = false;
  std::string leave_because_;
  bool ping_open_ = false;
  bool is_hung_ = false;  ///< the latest connection ended because it was silent
  State state_ = State::connecting;
  TimePoint since_;
  TimePoint heard_at_;
  TimePoint ping_at_;
  std::uint64_t messages_ = 0;
  std::uint64_t connects_ = 0;
  std::uint32_t failures_ = 0;  ///< in a row
  std::string last_error_;
  std::mt19937 random_{std::random_device{}()};
};

}  // namespace holdfast::feed
