#include "holdfast/ws/walker.hpp"

namespace holdfast::ws {

std::string_view describe(Violation violation) noexcept {
  switch (violation) {
    case Violation::none:
      return "none";
    case Violation::mask:
      return "wrong masking";
    case Violation::reserved_bits:
      return "reserved bits without an extension";
    case Violation::reserved_opcode:
      return "reserved opcode";
    case Violation::control_too_long:
      return "control frame over 125 bytes";
    case Violation::control_fragmented:
      return "fragmented control frame";
    case Violation::length_not_minimal:
      return "length not in its shortest form";
    case Violation::length_too_large:
      return "length of 2^63 or more";
    case Violation::continuation_unexpected:
      return "continuation without a message";
    case Violation::continuation_expected:
      return "new message inside a message";
    case Violation::close_payload:
      return "close payload of one byte";
    case Violation::close_code:
      return "close code not allowed on the wire";
    case Violation::message_too_big:
      return "message too big";
  }
  return "unknown violation";
}

std::uint16_t close_code_for(Violation violation) noexcept {
  return violation == Violation::message_too_big ? 1009 : 1002;
}

// A control frame is passed on whole or not at all, so that nobody has to remember half a Close.
Step Walker::control_frame(std::span<const std::byte> bytes, const FrameHeader& header) const noexcept {
  const std::size_t whole = header.size + static_cast<std::size_t>(header.payload);
  if (header.opcode == Opcode::close && header.payload == 1) return failed(Violation::close_payload);
  if (bytes.size() < whole) return {};
  if (header.opcode == Opcode::close && header.payload != 0) {
    const std::uint16_t code = close_code(control_payload(bytes.first(whole), header));
    if (!is_wire_close_code(code)) return failed(Violation::close_code);
  }
  return {StepKind::control, Violation::none, true, whole, header};
}

}  // namespace holdfast::ws
