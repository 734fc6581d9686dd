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
  class Receiver {
   public:
    virtual void came(const Writer::Message& message) = 0;
    virtual void read_is_over() = 0;

   protected:
    ~Receiver() = default;
  };

  /// All of it outlives the line.
  Line(SourceThread& thread, FeedState& feed, Receiver& receiver, const config::Feed& settings,
       std::string channel);
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;
  ~Line();

  void forward(ws::Opcode opcode, std::span<const std::byte> message);
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

  void settle(const config::Feed& settings);
  void begin(std::size_t first_url, std::vector<std::size_t> replaced);
  void retire(std::size_t slot);
  void rotate(std::size_t slot);
  [[nodiscard]] bool has_several() const noexcept;
  [[nodiscard]] bool send(ws::Opcode opcode, std::span<const std::byte> message);

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
  std::vector<std::size_t> going_;  ///< slots to be retired after the present read
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
