// Builds WebSocket streams by hand and runs walkers over them with the pump's carry rule.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/ws/walker.hpp"

namespace holdfast::ws::test {

using Bytes = std::vector<std::byte>;

inline Bytes bytes_of(std::initializer_list<unsigned> values) {
  Bytes bytes;
  for (const unsigned value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

inline Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// A frame of the sender's kind, whose payload counts up from 0.
struct FrameShape {
  Opcode opcode = Opcode::text;
  bool fin = true;
  std::uint64_t payload = 0;
  std::uint8_t rsv = 0;
};

inline constexpr Mask test_mask = 0x44332211U;

inline Bytes frame(Sender sender, FrameShape shape) {
  FrameHeader header;
  header.opcode = shape.opcode;
  header.fin = shape.fin;
  header.rsv = shape.rsv;
  header.masked = sender == Sender::client;
  header.mask = header.masked ? test_mask : 0;
  header.payload = shape.payload;
  Bytes bytes(max_header_bytes);
  bytes.resize(write_header(std::span<std::byte, max_header_bytes>(bytes.data(), max_header_bytes), header));
  for (std::uint64_t i = 0; i < shape.payload; ++i) bytes.push_back(static_cast<std::byte>(i & 0xffU));
  return bytes;
}

inline Bytes close_frame(Sender sender, std::uint16_t code, std::string_view reason = {}) {
  const ControlFrame made =
      encode_close(code, reason, sender == Sender::client ? std::optional<Mask>(test_mask) : std::nullopt);
  return {made.view().begin(), made.view().end()};
}

// One frame as a pump saw it, pieces of data frames put together.
struct SeenFrame {
  Opcode opcode = Opcode::text;
  bool fin = true;
  std::uint64_t wire_bytes = 0;

  bool operator==(const SeenFrame&) const = default;
};

struct Seen {
  std::vector<SeenFrame> frames;
  Bytes passed;  // everything that was consumed, in order
  Violation violation = Violation::none;
  bool frame_boundary = true;
  bool message_boundary = true;

  bool operator==(const Seen&) const = default;
};

// Feeds `stream` in pieces of the given sizes (the last one repeats); what a step leaves is carried in
// front of the next piece.
inline Seen walk(Sender sender, const Bytes& stream, Limits limits, std::vector<std::size_t> pieces) {
  Walker walker(sender);
  Seen seen;
  Bytes carry;
  std::size_t fed = 0;
  std::size_t turn = 0;
  while (fed < stream.size() && seen.violation == Violation::none) {
    const std::size_t piece = std::min(pieces[std::min(turn++, pieces.size() - 1)], stream.size() - fed);
    carry.insert(carry.end(), stream.begin() + static_cast<std::ptrdiff_t>(fed),
                 stream.begin() + static_cast<std::ptrdiff_t>(fed + piece));
    fed += piece;
    std::span<const std::byte> rest(carry);
    while (true) {
      const Step step = walker.next(rest, limits);
      seen.violation = step.violation;
      if (step.kind == StepKind::need_more || step.kind == StepKind::violation) break;
      if (step.starts_frame) seen.frames.push_back({step.header.opcode, step.header.fin, 0});
      seen.frames.back().wire_bytes += step.size;
      seen.passed.insert(seen.passed.end(), rest.begin(),
                         rest.begin() + static_cast<std::ptrdiff_t>(step.size));
      rest = rest.subspan(step.size);
    }
    carry = Bytes(rest.begin(), rest.end());
  }
  seen.frame_boundary = walker.at_frame_boundary();
  seen.message_boundary = walker.at_message_boundary();
  return seen;
}

}  // namespace holdfast::ws::test
