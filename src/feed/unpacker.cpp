#include "holdfast/feed/unpacker.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <new>

namespace holdfast::feed {

namespace {
constexpr int window_bits = -15;  // raw
constexpr std::uint64_t most_ever = 256ULL << 20;
// What the sender has left out (RFC 7692 section 7.2.1).
constexpr std::array<Bytef, 4> tail{0x00, 0x00, 0xff, 0xff};
}  // namespace

struct Unpacker::State {
  z_stream stream{};
  State() {
    if (inflateInit2(&stream, window_bits) != Z_OK) throw std::bad_alloc();
  }
  ~State() { inflateEnd(&stream); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

Unpacker::Unpacker() = default;
Unpacker::~Unpacker() = default;

Unpacker::Outcome Unpacker::unpack(std::span<const std::byte> message, std::uint64_t most_bytes) {
  if (state_ == nullptr) state_ = std::make_unique<State>();
  const std::uint64_t most = most_bytes == 0 ? most_ever : std::min(most_bytes, most_ever);
  z_stream& stream = state_->stream;
  inflateReset(&stream);
  Outcome outcome;
  std::array<std::byte, 16UL * 1024> piece;
  for (const bool is_tail : {false, true}) {
    stream.next_in = is_tail ? const_cast<Bytef*>(tail.data())
                             : reinterpret_cast<Bytef*>(const_cast<std::byte*>(message.data()));
    stream.avail_in = static_cast<uInt>(is_tail ? tail.size() : message.size());
    do {
      stream.next_out = reinterpret_cast<Bytef*>(piece.data());
      stream.avail_out = piece.size();
      const int done = inflate(&stream, Z_SYNC_FLUSH);
      if (done != Z_OK && done != Z_STREAM_END && done != Z_BUF_ERROR) return {Failure::garbage, {}};
      const std::size_t got = piece.size() - stream.avail_out;
      if (outcome.message.size() + got > most) return {Failure::too_big, {}};
      outcome.message.insert(outcome.message.end(), piece.begin(),
                             piece.begin() + static_cast<std::ptrdiff_t>(got));
      if (done == Z_STREAM_END) return outcome;
    } while (stream.avail_out == 0);
  }
  return outcome;
}

}  // namespace holdfast::feed
