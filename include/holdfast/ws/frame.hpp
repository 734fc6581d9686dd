// What a WebSocket frame looks like on the wire (RFC 6455 section 5.2), how to write one,
// and which Close codes may travel. Pure values: no state, no allocation, no exceptions,
// safe in every thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

namespace holdfast::ws {

enum class Opcode : std::uint8_t {
  continuation = 0,
  text = 1,
  binary = 2,
  close = 8,
  ping = 9,
  pong = 10,
};

// Control opcodes have bit 3 set (RFC 6455 section 5.5).
[[nodiscard]] constexpr bool is_control(Opcode opcode) noexcept {
  return (static_cast<unsigned>(opcode) & 0x8U) != 0;
}

// Reserved bits, placed as they stand in the first byte of a frame.
inline constexpr std::uint8_t rsv1 = 0x40;
inline constexpr std::uint8_t rsv_all = 0x70;

inline constexpr std::size_t max_header_bytes = 14;
inline constexpr std::size_t max_control_payload = 125;

// Four mask bytes in memory order: the first byte on the wire is the first byte of the integer
// in memory, whatever the machine's byte order.
using Mask = std::uint32_t;

struct FrameHeader {
  Opcode opcode = Opcode::continuation;
  bool fin = true;
  std::uint8_t rsv = 0;  // subset of rsv_all
  bool masked = false;
  std::uint8_t size = 0;      // bytes of the header itself, 2..14; ignored by write_header
  Mask mask = 0;              // 0 unless masked
  std::uint64_t payload = 0;  // bytes, < 2^63
};

// Writes the shortest legal header and returns its size in bytes (2..14).
[[nodiscard]] inline std::size_t write_header(std::span<std::byte, max_header_bytes> out,
                                              const FrameHeader& header) noexcept {
  const unsigned first = static_cast<unsigned>(header.opcode) | header.rsv | (header.fin ? 0x80U : 0U);
  const unsigned mask_bit = header.masked ? 0x80U : 0U;
  out[0] = static_cast<std::byte>(first);
  std::size_t extended = 0;
  if (header.payload < 126) {
    out[1] = static_cast<std::byte>(mask_bit | static_cast<unsigned>(header.payload));
  } else if (header.payload <= 0xffff) {
    out[1] = static_cast<std::byte>(mask_bit | 126U);
    extended = 2;
  } else {
    out[1] = static_cast<std::byte>(mask_bit | 127U);
    extended = 8;
  }
  for (std::size_t i = 0; i < extended; ++i) {
    out[2 + i] = static_cast<std::byte>((header.payload >> (8 * (extended - 1 - i))) & 0xffU);
  }
  std::size_t size = 2 + extended;
  if (header.masked) {
    std::memcpy(out.data() + size, &header.mask, sizeof header.mask);
    size += sizeof header.mask;
  }
  return size;
}

// One whole control frame that we send ourselves: header and payload, ready for the wire.
struct ControlFrame {
  std::array<std::byte, max_header_bytes + max_control_payload> bytes{};
  std::uint8_t size = 0;

  [[nodiscard]] std::span<const std::byte> view() const noexcept { return {bytes.data(), size}; }
};

// The unmasked payload of a control frame that a peer sent.
struct ControlPayload {
  std::array<std::byte, max_control_payload> bytes{};
  std::uint8_t size = 0;

  [[nodiscard]] std::span<const std::byte> view() const noexcept { return {bytes.data(), size}; }
};

// Close code that never travels: it stands for "a Close without a payload" (section 7.4.1).
inline constexpr std::uint16_t close_code_none = 1005;

// Codes that an end point may put into a Close frame: 1000-1003, 1007-1014, 3000-4999.
[[nodiscard]] bool is_wire_close_code(std::uint16_t code) noexcept;

// All frames towards a backend need a mask (a random one per frame), frames towards a client none.
// `code` = close_code_none writes an empty Close. A reason over 123 bytes is cut at a character
// boundary, because the payload must stay UTF-8.
[[nodiscard]] ControlFrame encode_close(std::uint16_t code, std::string_view reason,
                                        std::optional<Mask> mask) noexcept;

// Payloads over 125 bytes are cut: the caller's payload comes from a control frame or is our own.
[[nodiscard]] ControlFrame encode_ping(std::span<const std::byte> payload, std::optional<Mask> mask) noexcept;
[[nodiscard]] ControlFrame encode_pong(std::span<const std::byte> payload, std::optional<Mask> mask) noexcept;

// `frame` is one whole control frame as the walker reported it, `header` its header.
[[nodiscard]] ControlPayload control_payload(std::span<const std::byte> frame,
                                             const FrameHeader& header) noexcept;

// Code of a Close payload that the walker let pass; close_code_none when it is empty.
[[nodiscard]] std::uint16_t close_code(const ControlPayload& payload) noexcept;

// What follows the code; points into `payload`. Not checked for UTF-8: the end points do that.
[[nodiscard]] std::string_view close_reason(const ControlPayload& payload) noexcept;

}  // namespace holdfast::ws
