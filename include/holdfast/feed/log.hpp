#pragma once
// A channel's log: the latest frames, finished for the wire, one behind the other. The source thread writes
// them into chunks; every thread with subscribers of the channel keeps a Log of its own whose entries point
// into the same chunks. So a message is stored once in the process, a subscriber is a number, and what he has
// not had yet is mostly one contiguous piece of memory.
//
// Threads: a Chunk is written by the source thread and read by others only where a Frame that was sent to
// them points; a Log belongs to one thread.

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

/// The two shapes in which a frame is kept: as it is, and with its payload deflated (RFC 7692).
enum class Form : std::uint8_t { plain, packed };

/// Room for frames that never move.
class Chunk {
 public:
  explicit Chunk(std::size_t capacity) : capacity_(capacity), plain_(new std::byte[capacity]) {}

  // Writer only.
  [[nodiscard]] std::size_t room(Form form) const noexcept { return capacity_ - used(form); }
  /// The caller has checked `room`.
  [[nodiscard]] std::span<std::byte> take(Form form, std::size_t size) {
    std::unique_ptr<std::byte[]>& bytes = form == Form::plain ? plain_ : packed_;
    std::size_t& used = form == Form::plain ? plain_used_ : packed_used_;
    if (bytes == nullptr) bytes.reset(new std::byte[capacity_]);
    const std::span<std::byte> taken(bytes.get() + used, size);
    used += size;
    return taken;
  }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

 private:
  [[nodiscard]] std::size_t used(Form form) const noexcept {
    return form == Form::plain ? plain_used_ : packed_used_;
  }

  std::size_t capacity_;
  std::size_t plain_used_ = 0;
  std::size_t packed_used_ = 0;
  std::unique_ptr<std::byte[]> plain_;
  std::unique_ptr<std::byte[]> packed_;
};

enum class FrameKind : std::uint8_t { message, snapshot };

/// One message as it goes to subscribers.
struct Frame {
  const std::byte* plain = nullptr;
  const std::byte* packed = nullptr;  ///< null: nobody wanted it deflated when it came
  std::uint32_t plain_size = 0;
  std::uint32_t packed_size = 0;
  TimePoint came;  ///< read from the source
  FrameKind kind = FrameKind::message;

  /// For a subscriber that takes this form; what there is only plain everybody takes.
  [[nodiscard]] std::span<const std::byte> bytes(Form form) const noexcept {
    if (form == Form::packed && packed != nullptr) return {packed, packed_size};
    return {plain, plain_size};
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
  Sequence gather(Sequence from, Form form, std::size_t most_bytes, Add add) const {
    std::span<const std::byte> piece;
    Sequence piece_begin = from;
    std::size_t total = 0;
    Sequence next = from;
    for (; next < end(); ++next) {
      const std::span<const std::byte> bytes = at(next).bytes(form);
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
