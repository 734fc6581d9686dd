#pragma once
// What of the stream towards the backend is still ours to give: bytes that the leg has not taken, and
// messages that another leg would have to get again (SESSIONS.md promise 2). Sans-io.
//
// The buffer is a suffix of the stream that begins at the first byte of a message:
//
//     [ preamble_left | resent once before | ... message under way ... ]
//     0                                sent_                        size()      sent_ bytes are with the leg
//
// except when the first message was larger than the cap while it was being sent: then its beginning is not
// kept
// (`headless`), and losing the leg loses that message. Control frames may stand between frames; they are left
// out when the stream is rewound.
//
// Invariants, see check_invariants: nothing is kept of a message that is wholly with the leg (unless
// unanswered ones are kept); sent_ ≤ size(); a headless buffer begins inside a message.
//
// Thread: its session's. Bytes come from the pool that is passed, always the same one; what is known of them
// is allocated once and kept until `give_back`.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "holdfast/base/buffer_pool.hpp"
#include "holdfast/ws/walker.hpp"

namespace holdfast::session {

/// Where in a stream of frames a position is.
struct StreamPoint {
  std::uint64_t frame_remaining = 0;  ///< payload bytes to come of the frame under way
  bool message_open = false;          ///< that frame, or the last one, is not the message's last

  [[nodiscard]] static StreamPoint of(const ws::Walker& walker) noexcept {
    return {walker.frame_remaining(), walker.message_open()};
  }
  [[nodiscard]] bool at_message_boundary() const noexcept { return frame_remaining == 0 && !message_open; }
};

class Replay {
  /// A size that takes half the room: buffers are at most BufferPool::most_bytes.
  class Size {
   public:
    Size& operator=(std::size_t value) noexcept {
      value_ = static_cast<std::uint32_t>(value);
      return *this;
    }
    operator std::size_t() const noexcept { return value_; }  // NOLINT: it is one
    Size& operator+=(std::size_t more) noexcept { return *this = value_ + more; }
    Size& operator-=(std::size_t less) noexcept { return *this = value_ - less; }

   private:
    std::uint32_t value_ = 0;
  };

 public:
  struct Rules {
    std::size_t cap = 64UL << 10;  ///< bytes of one message that are kept while it is under way
    std::size_t unanswered = 0;    ///< bytes of whole sent messages that are kept; 0 = none
  };
  /// What a lost leg costs. A message is "begun" once the head of its last frame was seen: that is when it is
  /// counted elsewhere.
  struct Rewound {
    std::uint64_t kept = 0;           ///< begun messages that will be given to the next leg
    std::uint64_t resent = 0;         ///< kept ones, begun or not, of which the lost leg had a part or all
    std::uint64_t dropped = 0;        ///< not whole with any leg, and not to be given again
    std::uint64_t dropped_begun = 0;  ///< how many of those were begun
    std::uint64_t had_before = 0;     ///< not given again, because a leg before the lost one had it whole
    bool swallow = false;             ///< the message under way is among the dropped: its rest is thrown away
  };

  /// A run of whole frames and parts of frames that began at `start` in the stream and of which the leg has
  /// taken the first `taken` bytes. Only while nothing is unsent.
  void wrote(BufferPool& pool, std::span<const std::byte> run, std::size_t taken, StreamPoint start,
             Rules rules);
  /// The same without a try to write: the leg is blocked, or there is none.
  void queue(BufferPool& pool, std::span<const std::byte> run, StreamPoint start);
  /// Has the leg anything to take?
  [[nodiscard]] bool blocked() const noexcept { return !empty() && kept_->buffer->size() > kept_->sent; }
  [[nodiscard]] std::span<const std::byte> unsent() const noexcept;
  [[nodiscard]] std::uint64_t unsent_bytes() const noexcept {
    return empty() ? 0 : kept_->buffer->size() - kept_->sent;
  }
  /// The leg took the first `bytes` of `unsent()`.
  void took(std::size_t bytes, Rules rules) noexcept;
  /// A backend message came: whole messages that are with the leg are answered. Costs nothing unless such
  /// ones are kept.
  void answered() noexcept;

  /// The leg is lost: everything that is kept is to be sent again from its first byte. `end`: where the
  /// stream from the client stands.
  [[nodiscard]] Rewound rewind(BufferPool& pool, StreamPoint end);
  /// For a leg that gets the stream from here on: `preamble` (whole messages) goes first.
  void prepend(BufferPool& pool, std::span<const std::byte> preamble);

  /// Begun messages (see Rewound) that are kept, the preamble's not counted.
  [[nodiscard]] std::uint64_t begun_messages() const noexcept { return begun_before(size()); }
  /// Begun messages that the leg has not got to their last byte, the preamble's not counted. `end`: where the
  /// stream from the client stands.
  [[nodiscard]] std::uint64_t unfinished_messages(StreamPoint end) const noexcept;
  /// How many of those an earlier leg had whole.
  [[nodiscard]] std::uint64_t perhaps_delivered() const noexcept { return begun_before(known().given_whole); }
  /// The same, and those that the present leg has; only where that one is at a message boundary.
  [[nodiscard]] std::uint64_t with_some_leg() const noexcept {
    return begun_before(std::max<std::size_t>(known().sent, known().given_whole));
  }
  [[nodiscard]] std::size_t size() const noexcept { return empty() ? 0 : kept_->buffer->size(); }
  [[nodiscard]] std::size_t capacity() const noexcept { return empty() ? 0 : kept_->buffer->capacity(); }
  [[nodiscard]] bool empty() const noexcept { return kept_ == nullptr || kept_->buffer == nullptr; }
  [[nodiscard]] bool headless() const noexcept { return headless_; }
  /// Nothing is kept and nothing of the message under way was let go: a run that is taken whole and ends at a
  /// message boundary needs no bookkeeping.
  [[nodiscard]] bool idle() const noexcept { return empty() && !headless_; }
  void clear() noexcept;
  /// Memory that only a session at work needs, where it is not needed now. Seldom: it is allocated again.
  void give_back() noexcept {
    if (empty()) kept_.reset();
  }
  void check_invariants() const noexcept;

 private:
  void drop(std::size_t bytes) noexcept;
  void drop_complete() noexcept;
  void enforce(Rules rules) noexcept;
  void behead() noexcept;
  /// Begun messages whose last frame begins in the first `bytes`, the preamble's not counted.
  [[nodiscard]] std::uint64_t begun_before(std::size_t bytes) const noexcept;
  class Copy;

  /// What there is to be known of what is kept. Nothing of it counts without a buffer.
  struct Kept {
    BufferPtr buffer;
    StreamPoint head;  ///< where the first byte stands; a message boundary unless headless
    Size sent;
    Size preamble_left;  ///< bytes at the front that belong to the preamble
    Size given_whole;    ///< bytes at the front, preamble included, that an earlier leg had whole
    Size given_twice;    ///< bytes at the front, behind the preamble, that an earlier leg had a part of
  };
  [[nodiscard]] Kept& kept();  ///< makes one where there is none
  [[nodiscard]] const Kept& known() const noexcept {
    static const Kept nothing;
    return kept_ == nullptr ? nothing : *kept_;
  }

  std::unique_ptr<Kept> kept_;
  bool headless_ = false;
  bool keeps_unanswered_ = false;  ///< as the latest rules said
};
static_assert(sizeof(Replay) <= 16, "every session has one");

}  // namespace holdfast::session
