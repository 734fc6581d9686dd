#include <zlib.h>

#include <new>

#include "holdfast/feed/writer.hpp"

namespace holdfast::feed {

namespace {
constexpr int level = 1;          // speed before size
constexpr int window_bits = -15;  // raw
constexpr int memory_level = 8;
constexpr std::size_t tail_bytes = 4;  // 00 00 ff ff of the flush, which the peer puts back
}  // namespace

struct Packer::State {
  z_stream stream{};
  std::vector<std::byte> out;
};

Packer::Packer() : state_(std::make_unique<State>()) {
  const int made =
      deflateInit2(&state_->stream, level, Z_DEFLATED, window_bits, memory_level, Z_DEFAULT_STRATEGY);
  if (made != Z_OK) throw std::bad_alloc();
}

Packer::~Packer() {
  deflateEnd(&state_->stream);
}

std::span<const std::byte> Packer::pack(std::span<const std::byte> message) {
  if (message.empty()) return {};
  z_stream& stream = state_->stream;
  deflateReset(&stream);
  // Whatever needs more room than it had is not worth it.
  if (state_->out.size() < message.size() + tail_bytes) state_->out.resize(message.size() + tail_bytes);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(message.data()));
  stream.avail_in = static_cast<uInt>(message.size());
  stream.next_out = reinterpret_cast<Bytef*>(state_->out.data());
  stream.avail_out = static_cast<uInt>(message.size() + tail_bytes);
  const int done = deflate(&stream, Z_SYNC_FLUSH);
  const bool whole = done == Z_OK && stream.avail_in == 0 && stream.avail_out != 0;
  const std::size_t size = message.size() + tail_bytes - stream.avail_out;
  if (!whole || size < tail_bytes || size - tail_bytes >= message.size()) return {};
  return {state_->out.data(), size - tail_bytes};
}

}  // namespace holdfast::feed
