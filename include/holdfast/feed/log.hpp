#pragma once
// A channel's log: the latest frames, finished for the wire, one behind the other. The source thread writes
// them into chunks; every thread with subscribers of the channel keeps a Log of its own whose entries point
// into the same chunks. So a message is stored once in the process, a subscriber is a number, and what he has
// not had yet is mostly one contiguous piece of memory.
//
// Threads: a Chunk is written by the source thread and read by others only where a Frame that was sent to
// them points; a Log belongs to one thread.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "holdfast/base/clock.hpp"

namespace holdfast::feed {

/// Counts a channel's messages from 0, without a hole.
using Sequence = std::uint64_t;

/// The shapes in which a message is kept: all of it or a dialect's slice of it, each as it is and with its
/// payload deflated (RFC 7692).
enum class Form : std::uint8_t { plain, packed, slice, packed_slice };
inline constexpr std::size_t form_count = 4;
[[nodiscard]] constexpr bool is_packed(Form form) noexcept {
  return form == Form::packed || form == Form::packed_slice;
}
[[nodiscard]] constexpr bool is_slice(Form form) noexcept {
  return form == Form::slice || form == Form::packed_slice;
}
[[nodiscard]] constexpr Form form_of(bool packed, bool slice) noexcept {
  if (slice) return packed ? Form::packed_slice : Form::slice;
  return packed ? Form::packed : Form::plain;
}

/// Room for frames that never move.
class Chunk {
 public:
  explicit Chunk(std::size_t capacity) : capacity_(capacity) {}

  // Writer only.
  /// The least of all forms.
  [[nodiscard]] std::size_t room() const noexcept { return capacity_ - *std::ranges::max_element(used_); }
  /// The caller has checked `room`.
  [[nodiscard]] std::span<std::byte> take(Form form, std::size_t size) {
    std::unique_ptr<std::byte[]>& bytes = bytes_[static_cast<std::size_t>(form)];
    std::size_t& used = used_[static_cast<std::size_t>(form)];
    if (bytes == nullptr) bytes.reset(new std::byte[capacity_]);
    const std::span<std::byte> taken(bytes.get() + used, size);
    used += size;
    return taken;
  }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

 private:
  std::size_t capacity_;
  std::array<std::size_t, form_count> used_{};
  std::array<std::unique_ptr<std::byte[]>, form_count> bytes_;  ///< made when first needed
};

enum class FrameKind : std::uint8_t {
  message,
  snapshot,
  aside,  ///< ours, about the channel: no part of what a joining client asks for
};

/// Names the client that a message is from; 0 = none that must not get it back.
using Origin = std::uint32_t;

/// One message as it goes to subscribers.
struct Frame {
  /// By form; null: nobody wanted it so when it came, or it has no slice.
  std::array<const std::byte*, form_count> at{};
  std::array<std::uint32_t, form_count> size{};
  TimePoint came;  ///< read from the source
  FrameKind kind = FrameKind::message;
  Origin origin = 0;

  [[nodiscard]] bool has(Form form) const noexcept { return at[static_cast<std::size_t>(form)] != nullptr; }
  /// For a subscriber that takes this form; what there is not so everybody takes undeflated, and whole. Empty
  /// for its origin.
  [[nodiscard]] std::span<const std::byte> bytes(Form form, Origin reader = 0) const noexcept {
    if (reader != 0 && reader == origin) return {};
    if (!has(form)) form = is_slice(form) && has(Form::slice) ? Form::slice : Form::plain;
    return {at[static_cast<std::size_t>(form)], size[static_cast<std::size_t>(form)]};
  }
};

/// How much of the past is kept.
struct Retention {
  std::uint64_t bytes = 8ULL << 20;  ///< of plain frames; the newest one stays whatever its size
  Milliseconds age{60'000};
  std::uint32_t last = 1;      ///< so many stay although they are older
  bool from_snapshot = false;  ///< so does what follows the latest snapshot, and itself
};

class Log {
 public:
  /// The first message that is here or will come.
  [[nodiscard]] Sequence begin() const noexcept { return begin_; }
  /// The next one that will come.
  [[nodiscard]] Sequence end() const noexcept { return begin_ + size_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
  /// begin() ≤ sequence < end().
  [[nodiscard]] const Frame& at(Sequence sequence) const noexcept {
    return frames_[(head_ + static_cast<std::size_t>(sequence - begin_)) & (frames_.size() - 1)];
  }
  /// The latest snapshot that is here, or end().
  [[nodiscard]] Sequence latest_snapshot() const noexcept {
    return snapshot_ >= begin_ && snapshot_ < end() ? snapshot_ : end();
  }

  /// An empty log begins at `first`.
  void restart(Sequence first) noexcept;
  /// `frames` stand in `chunk`, which is kept as long as one of them is.
  void append(const std::shared_ptr<const Chunk>& chunk, std::span<const Frame> frames);
  /// `floor`: the bytes of what comes before it are limited, of what follows to four times as many.
  void trim(const Retention& keep, TimePoint now, Sequence floor) noexcept;
  void trim(const Retention& keep, TimePoint now) noexcept { trim(keep, now, end()); }

  /// The chunks behind frames from `from` on, with the number of those in each: to give them to another log.
  struct Part {
    std::shared_ptr<const Chunk> chunk;
    std::vector<Frame> frames;
  };
  [[nodiscard]] std::vector<Part> parts(Sequence from) const;

  /// Collects what a subscriber at `from` has to get, in pieces of contiguous memory, up to `most_bytes` but
  /// one frame at least; returns the sequence behind it. `add(piece)` is false where it has no room for one.
  template <class Add>
  Sequence gather(Sequence from, Form form, Origin reader, std::size_t most_bytes, Add add) const {
    std::span<const std::byte> piece;
    Sequence piece_begin = from;
    std::size_t total = 0;
    Sequence next = from;
    for (; next < end(); ++next) {
      const std::span<const std::byte> bytes = at(next).bytes(form, reader);
      if (bytes.empty()) continue;
      if (total != 0 && total + bytes.size() > most_bytes) break;
      total += bytes.size();
      if (piece.data() != nullptr && piece.data() + piece.size() == bytes.data()) {
        piece = {piece.data(), piece.size() + bytes.size()};
        continue;
      }
      if (piece.data() != nullptr && !add(piece)) return piece_begin;
      piece = bytes;
      piece_begin = next;
    }
    if (piece.data() != nullptr && !add(piece)) return piece_begin;
    return next;
  }

 private:
  struct Run {
    std::shared_ptr<const Chunk> chunk;
    Sequence end;  ///< of its frames
  };
  void drop_first() noexcept;

  std::vector<Frame> frames_;  ///< a ring; its size is a power of two
  std::size_t head_ = 0;
  std::size_t size_ = 0;
  Sequence begin_ = 0;
  Sequence snapshot_ = UINT64_MAX;
  std::uint64_t bytes_ = 0;
  std::vector<Run> runs_;
  std::size_t first_run_ = 0;
};

}  // namespace holdfast::feed
