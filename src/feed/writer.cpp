#include "holdfast/feed/writer.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace holdfast::feed {

namespace {

std::span<const std::byte> write_frame(Chunk& chunk, Form form, const ws::FrameHeader& header,
                                       std::span<const std::byte> payload) {
  std::array<std::byte, ws::max_header_bytes> head{};
  const std::size_t size = ws::write_header(head, header);
  const std::span<std::byte> into = chunk.take(form, size + payload.size());
  std::memcpy(into.data(), head.data(), size);
  if (!payload.empty()) std::memcpy(into.data() + size, payload.data(), payload.size());
  return into;
}

}  // namespace

void Writer::make_room(std::size_t size) {
  if (chunk_ != nullptr && chunk_->room(Form::plain) >= size && chunk_->room(Form::packed) >= size) return;
  // A quiet channel keeps little; a busy one soon has large pieces.
  chunk_ = std::make_shared<Chunk>(std::max(size, next_chunk_bytes_));
  next_chunk_bytes_ = std::min(next_chunk_bytes_ * 2, most_chunk_bytes_);
}

void Writer::write(const Message& message, Packer* packer) {
  ws::FrameHeader header;
  header.opcode = message.opcode;
  header.payload = message.payload.size();
  make_room(message.payload.size() + ws::max_header_bytes);
  Frame frame;
  frame.came = message.came;
  frame.kind = message.kind;
  const auto plain = write_frame(*chunk_, Form::plain, header, message.payload);
  frame.plain = plain.data();
  frame.plain_size = static_cast<std::uint32_t>(plain.size());
  if (packer != nullptr) {
    // What does not become shorter stands among the deflated ones as it is, so that they stay one piece.
    auto packed = packer->pack(message.payload);
    header.rsv = packed.empty() ? std::uint8_t{0} : ws::rsv1;
    if (packed.empty()) packed = message.payload;
    header.payload = packed.size();
    const auto bytes = write_frame(*chunk_, Form::packed, header, packed);
    frame.packed = bytes.data();
    frame.packed_size = static_cast<std::uint32_t>(bytes.size());
  }
  if (parts_.empty() || parts_.back().chunk != chunk_) parts_.push_back({chunk_, {}});
  parts_.back().frames.push_back(frame);
}

}  // namespace holdfast::feed
