#pragma once
// Several connections to one source bring the same messages: the first one wins. Messages are told apart by
// their content; that the same content comes again and again (a heartbeat) is not taken for a double: the
// k-th one of a connection is the k-th one of every other.
//
// Sans-io. Price: a connection that begins while messages are on their way counts what was delivered in the
// last second or two as if it were still to bring it.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>

#include "holdfast/base/clock.hpp"

namespace holdfast::feed {

class Deduper {
 public:
  static constexpr std::size_t most_slots = 32;

  /// A connection begins (again) in this slot.
  void begin(std::size_t slot, TimePoint now);
  /// Whether this message of that connection is the first of its kind.
  [[nodiscard]] bool is_first(std::size_t slot, std::uint64_t hash, TimePoint now);
  /// This slot's connection is ahead: it has passed everything that was delivered.
  void settle(std::size_t slot);
  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

 private:
  struct Entry {
    std::uint32_t delivered = 0;
    std::uint32_t earlier = 0;  ///< of them before the present and the last second
    std::uint32_t last_second = 0;
    std::uint32_t this_second = 0;
    std::int64_t second = 0;
    std::array<std::uint32_t, most_slots> seen{};
    TimePoint last;
  };
  static void age(Entry& entry, TimePoint now) noexcept;
  void forget_old(TimePoint now);

  std::unordered_map<std::uint64_t, Entry> entries_;
  std::array<bool, most_slots> catches_up_{};  ///< it has begun and has brought nothing new yet
  TimePoint looked_at_;
};

}  // namespace holdfast::feed
