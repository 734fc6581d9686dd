#include "holdfast/ws/frame.hpp"

#include <algorithm>

namespace holdfast::ws {
namespace {

// XOR with the mask, whose first byte in memory belongs to the first payload byte (section 5.3).
void apply_mask(std::span<std::byte> bytes, Mask mask) noexcept {
  std::array<std::byte, sizeof(Mask)> key{};
  std::memcpy(key.data(), &mask, sizeof mask);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] ^= key[i % key.size()];
}

ControlFrame encode(Opcode opcode, std::span<const std::byte> payload, std::optional<Mask> mask) noexcept {
  const std::size_t length = std::min(payload.size(), max_control_payload);
  FrameHeader header;
  header.opcode = opcode;
  header.masked = mask.has_value();
  header.mask = mask.value_or(0);
  header.payload = length;

  ControlFrame frame;
  const std::size_t begin =
      write_header(std::span<std::byte, max_header_bytes>(frame.bytes.data(), max_header_bytes), header);
  const std::span<std::byte> body(frame.bytes.data() + begin, length);
  std::copy_n(payload.begin(), length, body.begin());
  if (mask) apply_mask(body, *mask);
  frame.size = static_cast<std::uint8_t>(begin + length);
  return frame;
}

// Longest prefix of at most `limit` bytes that does not end inside a UTF-8 character.
std::string_view cut_at_character(std::string_view text, std::size_t limit) noexcept {
  if (text.size() <= limit) return text;
  std::size_t end = limit;
  // Bytes 10xxxxxx continue a character: the cut must not stand in front of one.
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U) --end;
  return text.substr(0, end);
}

}  // namespace

bool is_wire_close_code(std::uint16_t code) noexcept {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

ControlFrame encode_close(std::uint16_t code, std::string_view reason, std::optional<Mask> mask) noexcept {
  if (code == close_code_none) return encode(Opcode::close, {}, mask);
  std::array<std::byte, max_control_payload> payload{};
  payload[0] = static_cast<std::byte>(code >> 8U);
  payload[1] = static_cast<std::byte>(code & 0xffU);
  const std::string_view kept = cut_at_character(reason, payload.size() - 2);
  if (!kept.empty()) std::memcpy(payload.data() + 2, kept.data(), kept.size());
  return encode(Opcode::close, std::span(payload).first(2 + kept.size()), mask);
}

ControlFrame encode_ping(std::span<const std::byte> payload, std::optional<Mask> mask) noexcept {
  return encode(Opcode::ping, payload, mask);
}

ControlFrame encode_pong(std::span<const std::byte> payload, std::optional<Mask> mask) noexcept {
  return encode(Opcode::pong, payload, mask);
}

ControlPayload control_payload(std::span<const std::byte> frame, const FrameHeader& header) noexcept {
  ControlPayload payload;
  const std::size_t behind = frame.size() > header.size ? frame.size() - header.size : 0;
  const std::size_t length =
      std::min({behind, static_cast<std::size_t>(header.payload), max_control_payload});
  if (length == 0) return payload;
  std::memcpy(payload.bytes.data(), frame.data() + header.size, length);
  payload.size = static_cast<std::uint8_t>(length);
  if (header.masked) apply_mask(std::span(payload.bytes).first(length), header.mask);
  return payload;
}

std::uint16_t close_code(const ControlPayload& payload) noexcept {
  if (payload.size < 2) return close_code_none;
  return static_cast<std::uint16_t>((std::to_integer<unsigned>(payload.bytes[0]) << 8U) |
                                    std::to_integer<unsigned>(payload.bytes[1]));
}

std::string_view close_reason(const ControlPayload& payload) noexcept {
  if (payload.size <= 2) return {};
  return {reinterpret_cast<const char*>(payload.bytes.data()) + 2, payload.size - std::size_t{2}};
}

}  // namespace holdfast::ws
