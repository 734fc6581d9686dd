#include "holdfast/base/buffer_pool.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

using namespace holdfast;

namespace {
std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
std::string as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
}  // namespace

TEST_CASE("a buffer gives back what was appended, in order, also when its front was consumed") {
  BufferPool pool;
  BufferPtr buffer = pool.get(10);
  buffer->append(as_bytes("hello "));
  buffer->append(as_bytes("world"));
  buffer->consume(6);
  CHECK(as_text(buffer->bytes()) == "world");
  const std::string filler(buffer->room(), 'x');
  buffer->append(as_bytes(filler));
  CHECK(buffer->room() == 0);
  CHECK(as_text(buffer->bytes()) == "world" + filler);
}

TEST_CASE("a buffer that comes back is used again, empty") {
  BufferPool pool;
  Buffer* first = nullptr;
  {
    BufferPtr buffer = pool.get(BufferPool::large_bytes);
    first = buffer.get();
    buffer->append(as_bytes("old"));
    CHECK(pool.outstanding() == 1);
  }
  CHECK(pool.outstanding() == 0);
  BufferPtr again = pool.get(BufferPool::large_bytes);
  CHECK(again.get() == first);
  CHECK(again->empty());
}
