// Messages of permessage-deflate without context takeover, RFC 7692: one state serves all connections.
#pragma once

#include <zlib.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace holdfast::bench {

class Inflater {
 public:
  Inflater() { inflateInit2(&stream_, -15); }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  // The message, valid until the next call; empty when it is broken or larger than `out_bytes`.
  std::string_view inflate(std::string_view message) {
    inflateReset(&stream_);
    stream_.next_out = reinterpret_cast<Bytef*>(out_);
    stream_.avail_out = out_bytes;
    static constexpr std::string_view tail("\0\0\xff\xff", 4);
    for (const std::string_view part : {message, tail}) {
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(part.data()));
      stream_.avail_in = static_cast<uInt>(part.size());
      const int result = ::inflate(&stream_, Z_SYNC_FLUSH);
      if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) return {};
    }
    return {out_, out_bytes - stream_.avail_out};
  }

 private:
  static constexpr std::size_t out_bytes = 64 * 1024;
  z_stream stream_{};
  char out_[out_bytes] = {};
};

}  // namespace holdfast::bench
