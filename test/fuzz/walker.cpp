// Bytes of a peer against the frame walker: whatever they are and however they are cut, both walks must
// see the same frames and stop at the same violation.
//
// Input: [settings][cut][stream...]. settings: bit 0 = server, bits 1-3 = allowed reserved bits,
// bits 4-7 = max_message / 16 (0 = none).
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "holdfast/ws/walker.hpp"

namespace {

namespace ws = holdfast::ws;

struct Walk {
  std::vector<std::uint8_t> opcodes;
  std::size_t consumed = 0;
  ws::Violation violation = ws::Violation::none;
  std::uint64_t remaining = 0;

  bool operator==(const Walk&) const = default;
};

// The message of a broken invariant is the crash itself.
void require(bool holds) {
  if (!holds) std::abort();
}

void look_at(const ws::Step& step, std::span<const std::byte> rest) {
  require(step.size <= rest.size());
  if (step.kind != ws::StepKind::control) return;
  require(step.starts_frame && step.size <= 131);
  const ws::ControlPayload payload = ws::control_payload(rest.first(step.size), step.header);
  require(payload.size == step.header.payload);
  if (step.header.opcode != ws::Opcode::close) return;
  const std::uint16_t code = ws::close_code(payload);
  require(code == ws::close_code_none || ws::is_wire_close_code(code));
}

// With `in_runs` as the pumps do it: whole messages at once where that goes.
Walk walk(ws::Sender sender, ws::Limits limits, std::span<const std::byte> stream, std::size_t piece,
          bool in_runs = false) {
  ws::Walker walker(sender);
  Walk seen;
  std::size_t available = 0;
  while (available < stream.size() && seen.violation == ws::Violation::none) {
    available = std::min(stream.size(), available + piece);
    while (true) {
      if (in_runs) {
        const auto behind = stream.subspan(seen.consumed, available - seen.consumed);
        const ws::WholeMessages messages = walker.whole_messages(behind, limits);
        require(messages.size <= behind.size());
        seen.consumed += messages.size;
        seen.opcodes.insert(seen.opcodes.end(), messages.texts, std::uint8_t{1});
        seen.opcodes.insert(seen.opcodes.end(), messages.binaries, std::uint8_t{2});
      }
      const auto rest = stream.subspan(seen.consumed, available - seen.consumed);
      const ws::Step step = walker.next(rest, limits);
      look_at(step, rest);
      seen.violation = step.violation;
      if (step.kind == ws::StepKind::need_more || step.kind == ws::StepKind::violation) {
        // What the pump has to carry is less than one control frame.
        require(step.size == 0 && (step.kind == ws::StepKind::violation || rest.size() < 131));
        break;
      }
      require(step.size > 0);
      if (step.starts_frame) seen.opcodes.push_back(static_cast<std::uint8_t>(step.header.opcode));
      seen.consumed += step.size;
    }
  }
  seen.remaining = walker.frame_remaining();
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const auto sender = (data[0] & 1U) != 0 ? ws::Sender::server : ws::Sender::client;
  const ws::Limits limits{(data[0] >> 4U) * std::uint64_t{16},
                          static_cast<std::uint8_t>((data[0] << 3U) & ws::rsv_all)};
  const auto stream = std::as_bytes(std::span(data + 2, size - 2));
  const Walk whole = walk(sender, limits, stream, std::max<std::size_t>(stream.size(), 1));
  require(whole == walk(sender, limits, stream, 1));
  require(whole == walk(sender, limits, stream, std::size_t{data[1]} + 1));
  // A run tells how many there are of each, not in which order.
  Walk sorted = whole;
  std::ranges::sort(sorted.opcodes);
  for (const std::size_t piece : {std::max<std::size_t>(stream.size(), 1), std::size_t{data[1]} + 1}) {
    Walk in_runs = walk(sender, limits, stream, piece, true);
    std::ranges::sort(in_runs.opcodes);
    require(sorted == in_runs);
  }
  return 0;
}
