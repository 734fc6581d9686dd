#pragma once
// Several connections bring one channel's messages, numbered or told apart by content: they go out in order,
// each once. A connection that has just begun may be ahead of the others; what it brings waits until one of
// them has brought the same, for what lies between comes on those only.
//
// Sans-io. Thread: the source thread's. Owner: the trunk, one for each of its channels. Slots are the
// connections'.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "feed/deduper.hpp"
#include "holdfast/feed/writer.hpp"

namespace holdfast::feed {

class Order {
 public:
  enum class Verdict : std::uint8_t { goes, is_double, waits };
  /// A message that waits.
  class Held {
   public:
    /// `what`: its number, or a hash of its content.
    Held(std::size_t from, std::uint64_t what, bool has_number, const Writer::Message& message);
    [[nodiscard]] Writer::Message message() const;
    std::size_t slot;
    std::uint64_t what;
    bool has_number;

   private:
    Writer::Message like_;
    std::vector<std::byte> payload_;
    std::vector<std::byte> slice_;
  };

  /// A connection begins in this slot. The only one there is may count anew.
  void begin(std::size_t slot, bool is_alone);
  /// It is over; what the others have brought need not wait for it.
  void end(std::size_t slot);
  /// Numbers of a message that this connection has brought; `several`: there are others, or were until now.
  [[nodiscard]] Verdict take(std::size_t slot, std::optional<std::uint64_t> first, std::uint64_t last,
                             bool several);
  /// The same for one without a number; `is_first`: no connection has brought it before.
  [[nodiscard]] Verdict take(std::size_t slot, std::uint64_t hash, bool is_first);
  /// One that `waits`.
  void hold(Held held);
  /// Those whose turn it is now, in order; all that have waited since `patient_until`.
  [[nodiscard]] std::vector<Held> release(TimePoint patient_until = TimePoint::min());
  [[nodiscard]] bool has_held() const noexcept { return !held_.empty(); }

 private:
  static constexpr std::size_t nobody = SIZE_MAX;
  static constexpr std::size_t most_held_bytes = 1UL << 20;
  static_assert(Deduper::most_slots <= 32);
  [[nodiscard]] bool went_out(const Held& held) const noexcept {
    return held.has_number && last_ && held.what <= *last_;
  }
  [[nodiscard]] bool is_in_step(std::size_t slot) const noexcept { return (in_step_ >> slot & 1U) != 0; }
  void note_in_step(std::size_t slot) noexcept { in_step_ |= 1U << slot; }

  std::optional<std::uint64_t> last_;  ///< what went out latest
  std::size_t last_slot_ = nobody;     ///< who brought it
  std::uint32_t in_step_ = 0;          ///< those that have brought what went out: nothing is between
  std::size_t held_bytes_ = 0;
  std::vector<Held> held_;  ///< of those that are not
};

}  // namespace holdfast::feed
