#include "probe/messages.hpp"

#include <utility>

namespace holdfast::probe {

void Messages::add(std::span<const std::byte> bytes) {
  bytes_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  received_ += bytes.size();
}

Messages::Message Messages::next() {
  for (;;) {
    const auto rest = std::as_bytes(std::span(bytes_));
    const ws::Step step = walker_.next(rest, {});
    if (step.kind == ws::StepKind::need_more) return {};
    if (step.kind == ws::StepKind::violation)
      return {Kind::violation, std::string(ws::describe(step.violation))};
    if (step.kind == ws::StepKind::control) {
      const ws::ControlPayload got = ws::control_payload(rest.first(step.size), step.header);
      std::string payload(reinterpret_cast<const char*>(got.view().data()), got.view().size());
      bytes_.erase(0, step.size);
      if (step.header.opcode == ws::Opcode::pong) return {Kind::pong, std::move(payload)};
      if (step.header.opcode == ws::Opcode::close) return {Kind::close, std::move(payload)};
      return {Kind::other_control, {}};
    }
    const std::size_t head = step.starts_frame ? step.header.size : 0;
    message_.append(bytes_, head, step.size - head);
    bytes_.erase(0, step.size);
    if (walker_.at_message_boundary()) return {Kind::text_or_binary, std::exchange(message_, {})};
  }
}

}  // namespace holdfast::probe
