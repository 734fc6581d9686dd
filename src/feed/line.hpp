#pragma once
// Where one channel's messages come from: one strand, or several that bring the same (redundant mode, and
// while one takes over from another).
//
// Thread: the source thread's.

#include <memory>
#include <string>
#include <vector>

#include "feed/deduper.hpp"
#include "feed/open_count.hpp"
#include "feed/strand.hpp"

namespace holdfast::feed {

class Line final : private StrandOwner {
 public:
  /// Connections are told by their slot.
  class Receiver {
   public:
    virtual void opened(std::size_t slot) = 0;
    virtual void closed(std::size_t slot) = 0;  ///< one that was open
    virtual void came(std::size_t slot, const Writer::Message& message) = 0;
    virtual void read_is_over() = 0;
    /// Whether it brings all that those bring which it replaces, so that they can go.
    [[nodiscard]] virtual bool has_taken_over(std::size_t slot, Clock::duration open_for) = 0;
    [[nodiscard]] virtual std::string ping(std::size_t slot) = 0;  ///< as StrandOwner::ping
    /// As StrandOwner::may_pong; if not, `pong` follows.
    [[nodiscard]] virtual bool may_pong(std::size_t slot) {
      (void)slot;
      return true;
    }
    [[nodiscard]] virtual Clock::duration wait_to_connect(TimePoint now) = 0;

   protected:
    ~Receiver() = default;
  };

  /// All of it outlives the line.
  Line(SourceThread& thread, FeedState& feed, Receiver& receiver, const config::Feed& settings,
       std::string channel);
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;
  ~Line();

  /// To any connection; what comes while there is none is kept, 256 KiB.
  void forward(ws::Opcode opcode, std::span<const std::byte> message);
  /// False: it is not open, or has too much to send already.
  [[nodiscard]] bool send(std::size_t slot, std::string_view text);
  /// Of several connections, whether this one is the first that brings it.
  [[nodiscard]] bool is_first(std::size_t slot, std::uint64_t hash, TimePoint when);
  /// There are several connections, or were until just now.
  [[nodiscard]] bool dedupes() const noexcept { return deduper_ != nullptr; }
  /// Whether `slot` is to take over from `old`.
  [[nodiscard]] bool replaces(std::size_t slot, std::size_t old) const noexcept;
  [[nodiscard]] bool is_going(std::size_t slot) const noexcept;  ///< another one takes over from it
  /// Another connection takes over from this one.
  void rotate(std::size_t slot);
  /// It ends now and is dialled again.
  void leave(std::size_t slot, const std::string& why) { places_[slot].strand->leave(why); }
  /// The answer to its latest ping, now that it may.
  void pong(std::size_t slot) {
    const auto& strand = places_[slot].strand;
    if (strand != nullptr) strand->pong(strand);
  }
  /// Many times a second: rotation, backends to be left.
  void tick(TimePoint now);
  /// Others take over from the present connections, which end when they have spoken.
  void replace(const config::Feed& settings);
  [[nodiscard]] std::vector<SourceView> views(TimePoint now) const;
  [[nodiscard]] const std::string& channel() const noexcept { return channel_; }

 private:
  void opened(std::size_t slot) override;
  void came(std::size_t slot, ws::Opcode opcode, std::span<const std::byte> message, TimePoint when) override;
  void read_is_over() override { receiver_.read_is_over(); }
  void lost(std::size_t slot, const std::string& why) override;
  std::string ping(std::size_t slot) override { return receiver_.ping(slot); }
  bool may_pong(std::size_t slot) override { return receiver_.may_pong(slot); }
  Clock::duration wait_to_connect(TimePoint now) override { return receiver_.wait_to_connect(now); }

  void settle(const config::Feed& settings);
  void begin(std::size_t first_url, std::vector<std::size_t> replaced);
  void retire(std::size_t slot);
  [[nodiscard]] bool has_several() const noexcept;
  [[nodiscard]] bool send(ws::Opcode opcode, std::span<const std::byte> message);
  void note_closed(std::size_t slot);

  struct Place {
    std::shared_ptr<Strand> strand;     ///< null = free
    std::size_t url = 0;                ///< its first one
    std::vector<std::size_t> replaces;  ///< slots of those that go when this one has spoken
    bool is_counted_open = false;
  };
  SourceThread& thread_;
  FeedState& feed_;
  OpenCount open_{feed_.source_cells()};
  Receiver& receiver_;
  std::string channel_;
  config::Source settings_;
  std::vector<std::shared_ptr<const dial::Destination>> destinations_;
  std::vector<Place> places_;
  std::unique_ptr<Deduper> deduper_;
  TimePoint one_left_at_;  ///< since when there is one strand only: the deduper goes a while later
  struct Said {
    ws::Opcode opcode;
    std::vector<std::byte> message;
  };
  std::vector<Said> waiting_;  ///< what clients said while no connection was open
  std::size_t waiting_bytes_ = 0;
  std::string told_;  ///< what the log has of the present trouble
};

}  // namespace holdfast::feed
