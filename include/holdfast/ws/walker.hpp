// Walks one direction of a WebSocket stream and says where frames begin and end, without touching
// or copying a byte. The hot path of the pumps: no allocation, no exception, no lock.
//
// Ownership: one walker per direction, used by the thread that pumps it.
// Contract with the caller:
//  - `next` consumes at most one frame, or the available part of one data frame; the caller
//    advances by Step::size and calls again until need_more.
//  - Bytes that cannot be judged yet (an incomplete header or control frame, at most 130 bytes) are
//    not consumed. The caller keeps them and puts them in front of its next read.
//  - After a violation nothing is consumed and the state is as before: the stream is over.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "holdfast/ws/frame.hpp"

namespace holdfast::ws {

enum class Violation : std::uint8_t {
  none,
  mask,                     // client frame without, or server frame with a mask (section 5.1)
  reserved_bits,            // a bit that no agreed extension uses (section 5.2)
  reserved_opcode,          // 3-7 and 11-15
  control_too_long,         // over 125 bytes (section 5.5)
  control_fragmented,       // control frame without FIN
  length_not_minimal,       // a shorter length form would have done
  length_too_large,         // >= 2^63
  continuation_unexpected,  // continuation frame without an open message
  continuation_expected,    // text or binary frame inside an open message
  close_payload,            // Close with one byte: no room for a code
  close_code,               // a code that may not travel (section 7.4)
  message_too_big,          // Limits::max_message exceeded
};

// A short phrase for logs: "reserved opcode".
[[nodiscard]] std::string_view describe(Violation violation) noexcept;

// The code to close with: 1009 for message_too_big, else 1002.
[[nodiscard]] std::uint16_t close_code_for(Violation violation) noexcept;

// Who wrote the bytes. Client frames must be masked, server frames must not.
enum class Sender : std::uint8_t { client, server };

struct Limits {
  std::uint64_t max_message = 0;  // payload bytes on the wire of all fragments together; 0 = none
  // Agreed extensions' bits. Exactly rsv1 means permessage-deflate: only on the first frame of a
  // data message (RFC 7692 section 6). Any other bit means an extension we do not know: then
  // the set is allowed on every frame, control frames too.
  std::uint8_t allowed_rsv = 0;
};

enum class StepKind : std::uint8_t {
  data,       // `size` bytes of one data frame: header and/or payload
  control,    // one whole control frame
  need_more,  // nothing consumed
  violation,  // nothing consumed
};

struct Step {
  StepKind kind = StepKind::need_more;
  Violation violation = Violation::none;
  bool starts_frame = false;  // the step begins with `header`
  std::size_t size = 0;       // bytes to forward or answer
  FrameHeader header{};       // valid if starts_frame (so always for control)
};

// Whole messages of one frame each.
struct WholeMessages {
  std::size_t size = 0;  // bytes of all of them
  std::uint32_t texts = 0;
  std::uint32_t binaries = 0;
};

class Walker {
 public:
  explicit Walker(Sender sender) noexcept : sender_(sender) {}

  [[nodiscard]] Step next(std::span<const std::byte> bytes, Limits limits) noexcept;

  // What `bytes` begins with, as far as nothing about it needs a closer look: whole messages of one frame
  // without reserved bits, under 64 KiB. `next` would say the same of each; it goes on behind them.
  [[nodiscard]] WholeMessages whole_messages(std::span<const std::byte> bytes, Limits limits) const noexcept;

  // No frame is under way in what was consumed so far. Own frames may be put in here.
  [[nodiscard]] bool at_frame_boundary() const noexcept { return frame_remaining_ == 0; }
  // Nor is a fragmented message.
  [[nodiscard]] bool at_message_boundary() const noexcept { return frame_remaining_ == 0 && !message_open_; }
  // The message under way has further frames, or its frame under way is not its last.
  [[nodiscard]] bool message_open() const noexcept { return message_open_; }
  // Payload bytes of the present data frame that were not consumed yet.
  [[nodiscard]] std::uint64_t frame_remaining() const noexcept { return frame_remaining_; }

 private:
  [[nodiscard]] Step inside_frame(std::size_t available) noexcept;
  [[nodiscard]] Violation judge_start(unsigned first, unsigned second, Limits limits) const noexcept;
  [[nodiscard]] Violation judge_length(const FrameHeader& header, Limits limits) const noexcept;
  [[nodiscard]] Step control_frame(std::span<const std::byte> bytes,
                                   const FrameHeader& header) const noexcept;
  [[nodiscard]] Step data_frame(std::size_t available, const FrameHeader& header) noexcept;

  static Step failed(Violation violation) noexcept { return {StepKind::violation, violation, false, 0, {}}; }

  std::uint64_t frame_remaining_ = 0;
  std::uint64_t message_bytes_ = 0;  // payload announced so far by the open message's fragments
  Sender sender_;
  bool message_open_ = false;  // a data frame without FIN was seen, its final one not yet
};
static_assert(sizeof(Walker) <= 48, "two of these live in every session");

namespace detail {

// Size of a header by its second byte, 2..14.
[[nodiscard]] constexpr std::size_t header_size(unsigned second) noexcept {
  const unsigned length = second & 0x7fU;
  const std::size_t extended = length < 126U ? 0U : (length == 126U ? 2U : 8U);
  return 2U + extended + ((second & 0x80U) != 0 ? 4U : 0U);
}

// `bytes` holds at least the whole header.
[[nodiscard]] inline FrameHeader read_header(std::span<const std::byte> bytes) noexcept {
  const unsigned first = std::to_integer<unsigned>(bytes[0]);
  const unsigned second = std::to_integer<unsigned>(bytes[1]);
  FrameHeader header;
  header.opcode = static_cast<Opcode>(first & 0x0fU);
  header.fin = (first & 0x80U) != 0;
  header.rsv = static_cast<std::uint8_t>(first & rsv_all);
  header.masked = (second & 0x80U) != 0;
  header.size = static_cast<std::uint8_t>(header_size(second));
  header.payload = second & 0x7fU;
  const std::size_t extended = header.payload < 126 ? 0U : (header.payload == 126 ? 2U : 8U);
  if (extended != 0) {
    header.payload = 0;
    for (std::size_t i = 0; i < extended; ++i) {
      header.payload = (header.payload << 8U) | std::to_integer<std::uint64_t>(bytes[2 + i]);
    }
  }
  if (header.masked) {
    std::memcpy(&header.mask, bytes.data() + 2 + extended, sizeof header.mask);
  }
  return header;
}

}  // namespace detail

// Two bytes are enough to refuse most wrong frames, so a peer cannot hide one by never sending
// the rest of its header.
inline Violation Walker::judge_start(unsigned first, unsigned second, Limits limits) const noexcept {
  const unsigned opcode = first & 0x0fU;
  const unsigned rsv = first & rsv_all;
  const bool control = (opcode & 0x8U) != 0;
  if (rsv != 0) {
    const bool first_frame_only = limits.allowed_rsv == rsv1;
    const bool misplaced = first_frame_only && (control || opcode == 0);
    if ((rsv & ~static_cast<unsigned>(limits.allowed_rsv)) != 0 || misplaced) {
      return Violation::reserved_bits;
    }
  }
  if ((opcode & 0x7U) > 2U) {
    return Violation::reserved_opcode;
  }
  if (((second & 0x80U) != 0) != (sender_ == Sender::client)) {
    return Violation::mask;
  }
  if (control) {
    if ((first & 0x80U) == 0) {
      return Violation::control_fragmented;
    }
    return (second & 0x7fU) > max_control_payload ? Violation::control_too_long : Violation::none;
  }
  if ((opcode == 0) != message_open_) {
    return opcode == 0 ? Violation::continuation_unexpected : Violation::continuation_expected;
  }
  return Violation::none;
}

inline Violation Walker::judge_length(const FrameHeader& header, Limits limits) const noexcept {
  const unsigned extended = header.size - (header.masked ? 6U : 2U);
  if ((extended == 2 && header.payload < 126) || (extended == 8 && header.payload <= 0xffff)) {
    return Violation::length_not_minimal;
  }
  if (header.payload >> 63U != 0) {
    return Violation::length_too_large;
  }
  if (is_control(header.opcode) || limits.max_message == 0) {
    return Violation::none;
  }
  // message_bytes_ can be over a limit that a reload has just lowered: no subtraction may wrap.
  const std::uint64_t before = message_open_ ? message_bytes_ : 0;
  const bool too_big = before > limits.max_message || header.payload > limits.max_message - before;
  return too_big ? Violation::message_too_big : Violation::none;
}

inline Step Walker::inside_frame(std::size_t available) noexcept {
  if (available == 0) {
    return {};
  }
  const std::size_t size =
      available < frame_remaining_ ? available : static_cast<std::size_t>(frame_remaining_);
  frame_remaining_ -= size;
  return {StepKind::data, Violation::none, false, size, {}};
}

inline Step Walker::data_frame(std::size_t available, const FrameHeader& header) noexcept {
  // 2^63 bytes of fragments take centuries, but a sum that saturates needs no such argument.
  const std::uint64_t before = message_open_ ? message_bytes_ : 0;
  const std::uint64_t sum = before + header.payload;
  message_bytes_ = sum < before ? UINT64_MAX : sum;
  message_open_ = !header.fin;
  const std::size_t behind = available - header.size;
  const std::size_t here = behind < header.payload ? behind : static_cast<std::size_t>(header.payload);
  frame_remaining_ = header.payload - here;
  return {StepKind::data, Violation::none, true, header.size + here, header};
}

inline Step Walker::next(std::span<const std::byte> bytes, Limits limits) noexcept {
  if (frame_remaining_ != 0) {
    return inside_frame(bytes.size());
  }
  if (bytes.size() < 2) {
    return {};
  }
  const unsigned first = std::to_integer<unsigned>(bytes[0]);
  const unsigned second = std::to_integer<unsigned>(bytes[1]);
  const Violation start = judge_start(first, second, limits);
  if (start != Violation::none) {
    return failed(start);
  }
  if (bytes.size() < detail::header_size(second)) {
    return {};
  }
  const FrameHeader header = detail::read_header(bytes);
  const Violation length = judge_length(header, limits);
  if (length != Violation::none) {
    return failed(length);
  }
  if (is_control(header.opcode)) {
    return control_frame(bytes, header);
  }
  return data_frame(bytes.size(), header);
}

inline WholeMessages Walker::whole_messages(std::span<const std::byte> bytes, Limits limits) const noexcept {
  WholeMessages found;
  if (!at_message_boundary()) return found;
  const unsigned mask_bit = sender_ == Sender::client ? 0x80U : 0U;
  const std::size_t mask_size = sender_ == Sender::client ? 4 : 0;
  const std::uint64_t most = limits.max_message == 0 ? UINT64_MAX : limits.max_message;
  while (bytes.size() - found.size >= 4) {
    const std::byte* const frame = bytes.data() + found.size;
    const unsigned first = std::to_integer<unsigned>(frame[0]);
    const unsigned second = std::to_integer<unsigned>(frame[1]) ^ mask_bit;
    const bool is_text = first == 0x81U;
    if ((!is_text && first != 0x82U) || second > 126U) break;
    std::size_t payload = second;
    std::size_t head = 2 + mask_size;
    if (second == 126U) {
      payload = std::to_integer<std::size_t>(frame[2]) << 8U | std::to_integer<std::size_t>(frame[3]);
      head += 2;
      if (payload < 126) break;
    }
    if (payload > most || bytes.size() - found.size < head + payload) break;
    found.size += head + payload;
    found.texts += is_text ? 1U : 0U;
    found.binaries += is_text ? 0U : 1U;
  }
  return found;
}

}  // namespace holdfast::ws
