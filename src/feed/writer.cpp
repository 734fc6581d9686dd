#include "holdfast/feed/writer.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace holdfast::feed {

namespace {

void write_frame(Chunk& chunk, Frame& frame, Form form, const ws::FrameHeader& header,
                 std::span<const std::byte> payload) {
  std::array<std::byte, ws::max_header_bytes> head{};
  const std::size_t size = ws::write_header(head, header);
  const std::span<std::byte> into = chunk.take(form, size + payload.size());
  std::memcpy(into.data(), head.data(), size);
  if (!payload.empty()) std::memcpy(into.data() + size, payload.data(), payload.size());
  frame.at[static_cast<std::size_t>(form)] = into.data();
  frame.size[static_cast<std::size_t>(form)] = static_cast<std::uint32_t>(into.size());
}

}  // namespace

void Writer::make_room(std::size_t size) {
  if (chunk_ != nullptr && chunk_->room() >= size) return;
  // A quiet channel keeps little; a busy one soon has large pieces.
  chunk_ = std::make_shared<Chunk>(std::max(size, next_chunk_bytes_));
  next_chunk_bytes_ = std::min(next_chunk_bytes_ * 2, most_chunk_bytes_);
}

void Writer::write(Frame& frame, bool slice, ws::Opcode opcode, std::span<const std::byte> payload,
                   Packer* packer) {
  ws::FrameHeader header;
  header.opcode = opcode;
  header.payload = payload.size();
  write_frame(*chunk_, frame, form_of(false, slice), header, payload);
  if (packer == nullptr) return;
  // What does not become shorter stands among the deflated ones as it is, so that they stay one piece.
  auto packed = packer->pack(payload);
  header.rsv = packed.empty() ? std::uint8_t{0} : ws::rsv1;
  if (packed.empty()) packed = payload;
  header.payload = packed.size();
  write_frame(*chunk_, frame, form_of(true, slice), header, packed);
}

void Writer::write(const Message& message, Packer* packer) {
  make_room(message.payload.size() + ws::max_header_bytes);
  Frame frame;
  frame.came = message.came;
  frame.kind = message.kind;
  frame.origin = message.origin;
  write(frame, false, message.opcode, message.payload, packer);
  if (!message.slice.empty()) write(frame, true, message.opcode, message.slice, packer);
  if (parts_.empty() || parts_.back().chunk != chunk_) parts_.push_back({chunk_, {}});
  parts_.back().frames.push_back(frame);
}

}  // namespace holdfast::feed
