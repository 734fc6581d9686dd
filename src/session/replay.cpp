#include "session/replay.hpp"

#include <algorithm>
#include <cassert>
#include <limits>

namespace holdfast::session {

namespace {

constexpr std::size_t nowhere = std::numeric_limits<std::size_t>::max();

// What can be passed over at once: the rest of a frame, or a frame as far as it is there.
struct Piece {
  std::size_t size = 0;
  std::size_t head = 0;  ///< bytes of its header, 0 in the middle of a frame
  bool control = false;
  bool last_frame = false;  ///< begins the message's last frame
};

// `bytes` is a part of a stream that a walker has passed, cut only where a walker stops: headers are whole.
Piece pass(std::span<const std::byte> bytes, StreamPoint& point) noexcept {
  Piece piece;
  if (point.frame_remaining == 0) {
    const ws::FrameHeader header = ws::detail::read_header(bytes);
    piece.head = header.size;
    piece.control = ws::is_control(header.opcode);
    if (!piece.control) {
      piece.last_frame = header.fin;
      point.message_open = !header.fin;
    }
    point.frame_remaining = header.payload;
  }
  const std::size_t here = std::min<std::uint64_t>(point.frame_remaining, bytes.size() - piece.head);
  point.frame_remaining -= here;
  piece.size = piece.head + here;
  return piece;
}

// Whether the data frame that `bytes` begins with is larger than `cap`.
bool is_larger(std::span<const std::byte> bytes, std::size_t cap) noexcept {
  const ws::FrameHeader header = ws::detail::read_header(bytes);
  return header.payload > cap || header.size + header.payload > cap;
}

// The furthest position ≤ `limit` that a StreamPoint can name (not inside a header), and the point there.
std::size_t advance(std::span<const std::byte> bytes, std::size_t limit, StreamPoint& point) noexcept {
  std::size_t offset = 0;
  while (offset < limit) {
    const StreamPoint before = point;
    const Piece piece = pass(bytes.subspan(offset), point);
    if (offset + piece.size <= limit) {
      offset += piece.size;
      continue;
    }
    if (piece.control || offset + piece.head > limit) {
      point = before;
      return offset;
    }
    point.frame_remaining += offset + piece.size - limit;
    return limit;
  }
  return offset;
}

}  // namespace

Replay::Kept& Replay::kept() {
  if (kept_ == nullptr) kept_ = std::make_unique<Kept>();
  return *kept_;
}

std::span<const std::byte> Replay::unsent() const noexcept {
  if (empty()) return {};
  return kept_->buffer->bytes().subspan(kept_->sent);
}

void Replay::clear() noexcept {
  headless_ = false;
  if (kept_ != nullptr) *kept_ = {};
}

// The caller sets `head` where the new front is no message boundary.
void Replay::drop(std::size_t bytes) noexcept {
  if (bytes == 0) return;
  kept_->buffer->consume(bytes);
  kept_->sent -= std::min<std::size_t>(kept_->sent, bytes);
  kept_->preamble_left -= std::min<std::size_t>(kept_->preamble_left, bytes);
  kept_->given_whole -= std::min<std::size_t>(kept_->given_whole, bytes);
  kept_->given_twice -= std::min<std::size_t>(kept_->given_twice, bytes);
  if (kept_->buffer->empty()) kept_->buffer.reset();
}

void Replay::wrote(BufferPool& pool, std::span<const std::byte> run, std::size_t taken, StreamPoint start,
                   Rules rules) {
  assert(!blocked());
  keeps_unanswered_ = rules.unanswered != 0;
  std::size_t boundary = nowhere;
  if (start.at_message_boundary()) boundary = 0;
  StreamPoint point = start;
  for (std::size_t offset = 0; offset < run.size();) {
    offset += pass(run.subspan(offset), point).size;
    if (offset <= taken && point.at_message_boundary()) boundary = offset;
  }
  if (rules.unanswered == 0 && boundary != nowhere) {
    clear();
    run = run.subspan(boundary);
    taken -= boundary;
    start = {};
    if (!run.empty() && taken == run.size() && is_larger(run, rules.cap)) {
      headless_ = true;  // it would be let go at once: not worth a copy
      return;
    }
  } else if (headless_) {
    // Of a message that can't be given again only what the leg has yet to get is kept.
    const std::size_t from = advance(run, taken, start);
    run = run.subspan(from);
    taken -= from;
  }
  if (!run.empty()) {
    queue(pool, run, start);
    kept_->sent += taken;
  }
  if (headless_ && empty()) headless_ = !point.at_message_boundary();
  enforce(rules);
}

void Replay::queue(BufferPool& pool, std::span<const std::byte> run, StreamPoint start) {
  if (empty()) {
    kept() = {};
    kept_->head = start;
    headless_ = !start.at_message_boundary();
  }
  pool.append(kept_->buffer, run);
}

void Replay::took(std::size_t bytes, Rules rules) noexcept {
  kept_->sent += bytes;
  assert(kept_->sent <= size());
  keeps_unanswered_ = rules.unanswered != 0;
  if (!keeps_unanswered_) drop_complete();
  enforce(rules);
}

void Replay::answered() noexcept {
  if (keeps_unanswered_) drop_complete();
}

// Everything up to the last message boundary that the leg has reached.
void Replay::drop_complete() noexcept {
  if (empty()) return;
  std::size_t boundary = 0;
  StreamPoint point = kept_->head;
  for (std::size_t offset = 0; offset < kept_->sent;) {
    offset += pass(kept_->buffer->bytes().subspan(offset), point).size;
    if (offset <= kept_->sent && point.at_message_boundary()) boundary = offset;
  }
  if (boundary == 0) return;
  drop(boundary);
  kept_->head = {};
  headless_ = false;
}

void Replay::enforce(Rules rules) noexcept {
  if (empty()) return;
  if (headless_) return behead();
  // The oldest of the sent ones go first.
  while (rules.unanswered != 0 && kept_->sent > rules.unanswered + kept_->preamble_left) {
    std::size_t end = 0;
    StreamPoint point;
    do {
      end += pass(kept_->buffer->bytes().subspan(end), point).size;
    } while (!point.at_message_boundary() && end < kept_->sent);
    if (end > kept_->sent || !point.at_message_boundary()) break;
    drop(end);
    if (empty()) return;
  }
  StreamPoint point;
  const Piece first = pass(kept_->buffer->bytes(), point);
  const bool too_large = kept_->sent > rules.cap || first.size + point.frame_remaining > rules.cap;
  // Only a message under way can be too large: whole ones are dropped, or bounded by `unanswered`.
  if (too_large && kept_->sent > 0 && (rules.unanswered == 0 || kept_->sent > rules.unanswered)) behead();
}

// The sent part of the first message is let go: it can't be given again any more.
void Replay::behead() noexcept {
  StreamPoint point = kept_->head;
  const std::size_t from = advance(kept_->buffer->bytes(), kept_->sent, point);
  const bool inside = !point.at_message_boundary();
  drop(from);
  kept_->head = inside ? point : StreamPoint{};
  headless_ = inside;
}

// Collects what the next leg gets, message by message.
class Replay::Copy {
 public:
  Copy(BufferPool& pool, std::size_t sent, std::size_t was_given_whole, std::size_t given_twice)
      : pool_(pool), sent_(sent), given_whole_(was_given_whole), given_twice_(given_twice) {}

  void begin_message(std::size_t offset, bool headless) noexcept {
    drops_ = headless || (offset < given_twice_ && offset < sent_);
    had_part_ = offset < sent_;
    was_given_ = offset < given_twice_;
    begun_ = false;
    open_ = true;
  }
  void add(std::span<const std::byte> bytes, const Piece& piece) {
    begun_ = begun_ || piece.last_frame;
    if (!drops_) pool_.append(bytes_, bytes);
  }
  /// `end`: where it ends in the old buffer.
  void end_message(std::size_t end) noexcept {
    open_ = false;
    if (drops_) {
      if (end <= given_whole_ && begun_) ++result.had_before;
      if (end <= std::max(sent_, given_whole_)) return;  // a leg had it whole
      ++result.dropped;
      if (begun_) ++result.dropped_begun;
      return;
    }
    if (begun_) ++result.kept;
    if (end <= std::max(sent_, given_whole_)) given_whole = bytes_->size();
    // Given once, also if the lost leg has not come to it again: the next time is the last.
    if (had_part_ || was_given_) given = bytes_->size();
    if (had_part_) ++result.resent;
  }
  /// At the end of the stream: the message under way, if any.
  void end_stream() noexcept {
    if (!open_) return;
    result.swallow = drops_;
    end_message(nowhere);
  }
  /// The first message began before the buffer, in the last frame of it.
  void was_begun() noexcept { begun_ = true; }
  [[nodiscard]] bool is_open() const noexcept { return open_; }
  [[nodiscard]] BufferPtr take() noexcept { return std::move(bytes_); }

  Rewound result;
  std::size_t given = 0;
  std::size_t given_whole = 0;

 private:
  BufferPool& pool_;
  BufferPtr bytes_;
  std::size_t sent_;
  std::size_t given_whole_;
  std::size_t given_twice_;
  bool drops_ = false;
  bool had_part_ = false;
  bool was_given_ = false;
  bool begun_ = false;
  bool open_ = false;
};

Replay::Rewound Replay::rewind(BufferPool& pool, StreamPoint end) {
  (void)kept();
  if (!empty() && kept_->preamble_left != 0) drop(kept_->preamble_left);
  kept_->preamble_left = std::size_t{0};
  Copy copy(pool, kept_->sent, kept_->given_whole, kept_->given_twice);
  StreamPoint point = empty() ? end : kept_->head;
  if (headless_) {
    copy.begin_message(0, true);
    if (point.frame_remaining != 0 && !point.message_open) copy.was_begun();
  }
  for (std::size_t offset = 0; offset < size();) {
    const auto rest = kept_->buffer->bytes().subspan(offset);
    const Piece piece = pass(rest, point);
    if (!piece.control) {
      if (!copy.is_open()) copy.begin_message(offset, false);
      copy.add(rest.first(piece.size), piece);
      if (point.at_message_boundary()) copy.end_message(offset + piece.size);
    }
    offset += piece.size;
  }
  copy.end_stream();
  clear();
  kept_->buffer = copy.take();
  kept_->given_whole = copy.given_whole;
  kept_->given_twice = copy.given;
  return copy.result;
}

void Replay::prepend(BufferPool& pool, std::span<const std::byte> preamble) {
  (void)kept();
  assert(kept_->sent == 0 && kept_->preamble_left == 0);
  if (preamble.empty()) return;
  BufferPtr whole = pool.get(preamble.size() + size());
  whole->append(preamble);
  if (!empty()) whole->append(kept_->buffer->bytes());
  if (kept_->given_whole != 0) kept_->given_whole += preamble.size();
  if (kept_->given_twice != 0) kept_->given_twice += preamble.size();
  kept_->buffer = std::move(whole);
  kept_->preamble_left = preamble.size();
}

std::uint64_t Replay::begun_before(std::size_t bytes) const noexcept {
  std::uint64_t count = 0;
  StreamPoint point = known().head;
  for (std::size_t offset = 0; offset < bytes;) {
    const Piece piece = pass(known().buffer->bytes().subspan(offset), point);
    offset += piece.size;
    if (offset > known().preamble_left && piece.last_frame) ++count;
  }
  return count;
}

std::uint64_t Replay::unfinished_messages(StreamPoint end) const noexcept {
  const bool inside_last = !end.message_open && end.frame_remaining != 0;
  if (!blocked()) return inside_last ? 1 : 0;  // the leg has all that is here
  std::uint64_t count = inside_last ? 1 : 0;
  StreamPoint point = known().head;
  for (std::size_t offset = 0; offset < size();) {
    const bool was_inside = !point.at_message_boundary();
    const Piece piece = pass(known().buffer->bytes().subspan(offset), point);
    offset += piece.size;
    const bool ends = point.at_message_boundary() && (was_inside || !piece.control);
    if (ends && offset > known().sent && offset > known().preamble_left) ++count;
  }
  return count;
}

void Replay::check_invariants() const noexcept {
  assert(known().sent <= size());
  assert(known().preamble_left <= size() && known().given_twice <= size());
  if (empty()) return;
  assert(headless_ == !known().head.at_message_boundary());
  if (keeps_unanswered_) return;
  StreamPoint point = known().head;
  for (std::size_t offset = 0; offset < known().sent;) {
    offset += pass(known().buffer->bytes().subspan(offset), point).size;
    assert(offset > known().sent || !point.at_message_boundary());  // a whole sent message is not kept
  }
}

}  // namespace holdfast::session
