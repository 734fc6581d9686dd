// The little WebSocket that the load generator and its echo backend need. Deliberately independent of
// the ws module: a measuring tool must not share faults or optimisations with what it measures.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace holdfast::bench {

constexpr int opcode_text = 1;
constexpr int opcode_binary = 2;
constexpr int opcode_close = 8;
constexpr int opcode_ping = 9;
constexpr int opcode_pong = 10;

// One frame's header, RFC 6455 section 5.2. `mask` is in wire order and 0 for an unmasked frame.
struct FrameHeader {
  int opcode = 0;
  bool compressed = false;  // RSV1: the beginning of a deflated message, RFC 7692 section 6
  std::uint64_t length = 0;
  std::uint32_t mask = 0;
};

// Appends a header of a whole (FIN) frame.
inline void append_header(std::string& out, int opcode, std::uint64_t length, const char* mask) {
  const int mask_bit = mask != nullptr ? 0x80 : 0;
  out.push_back(static_cast<char>(0x80 | opcode));
  int length_bytes = 0;
  if (length < 126) {
    out.push_back(static_cast<char>(mask_bit | static_cast<int>(length)));
  } else {
    length_bytes = length < 65536 ? 2 : 8;
    out.push_back(static_cast<char>(mask_bit | (length_bytes == 2 ? 126 : 127)));
  }
  for (int i = length_bytes - 1; i >= 0; --i) out.push_back(static_cast<char>(length >> (8 * i)));
  if (mask != nullptr) out.append(mask, 4);
}

// Cuts a byte stream into frames, whatever the reads look like. Calls, in order, per frame:
// sink.header(FrameHeader), then sink.payload(data, size, last) one or more times; `data` is unmasked in
// place. A frame without payload gets one call with size 0.
class FrameReader {
 public:
  template <class Sink>
  void feed(char* data, std::size_t size, Sink& sink) {
    while (size > 0) {
      if (left_ == 0) {
        const std::size_t taken = take_header(data, size);
        data += taken;
        size -= taken;
        if (head_size_ < needed()) return;
        start(sink);
        continue;
      }
      const std::size_t part = left_ < size ? static_cast<std::size_t>(left_) : size;
      unmask(data, part);
      left_ -= part;
      sink.payload(data, part, left_ == 0);
      data += part;
      size -= part;
    }
  }

 private:
  // Bytes of the header as far as it is known now.
  [[nodiscard]] std::size_t needed() const {
    if (head_size_ < 2) return 2;
    const int length = head_[1] & 0x7f;
    const std::size_t mask_bytes = (head_[1] & 0x80) != 0 ? 4 : 0;
    return 2 + mask_bytes + (length == 126 ? 2u : length == 127 ? 8u : 0u);
  }

  std::size_t take_header(const char* data, std::size_t size) {
    std::size_t taken = 0;
    while (taken < size && head_size_ < needed())
      head_[head_size_++] = static_cast<unsigned char>(data[taken++]);
    return taken;
  }

  template <class Sink>
  void start(Sink& sink) {
    FrameHeader header;
    header.opcode = head_[0] & 0x0f;
    header.compressed = (head_[0] & 0x40) != 0;
    std::size_t at = 2;
    header.length = head_[1] & 0x7fu;
    if (header.length > 125) {
      const std::size_t end = at + (header.length == 126 ? 2 : 8);
      header.length = 0;
      while (at < end) header.length = header.length << 8 | head_[at++];
    }
    if ((head_[1] & 0x80) != 0) std::memcpy(&header.mask, head_ + at, 4);
    mask_ = header.mask;
    mask_at_ = 0;
    left_ = header.length;
    head_size_ = 0;
    sink.header(header);
    if (left_ == 0) sink.payload(nullptr, 0, true);
  }

  void unmask(char* data, std::size_t size) {
    if (mask_ == 0) return;
    std::size_t at = 0;
    for (; at < size && (mask_at_ & 3) != 0; ++at) data[at] = static_cast<char>(data[at] ^ next_mask_byte());
    const std::uint64_t wide = static_cast<std::uint64_t>(mask_) << 32 | mask_;
    for (; at + 8 <= size; at += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, data + at, 8);
      word ^= wide;
      std::memcpy(data + at, &word, 8);
    }
    for (; at < size; ++at) data[at] = static_cast<char>(data[at] ^ next_mask_byte());
  }

  char next_mask_byte() {
    char bytes[4];
    std::memcpy(bytes, &mask_, 4);
    return bytes[mask_at_++ & 3];
  }

  unsigned char head_[14] = {};
  std::size_t head_size_ = 0;
  std::uint64_t left_ = 0;
  std::uint32_t mask_ = 0;
  std::uint32_t mask_at_ = 0;
};

}  // namespace holdfast::bench
