#include "holdfast/base/buffer_pool.hpp"

#include <new>

namespace holdfast {

void Buffer::append(std::span<const std::byte> more) noexcept {
  assert(more.size() <= room());
  if (end_ + more.size() > capacity_) {
    std::memmove(data(), data() + begin_, size());
    end_ -= begin_;
    begin_ = 0;
  }
  if (!more.empty()) std::memcpy(data() + end_, more.data(), more.size());
  end_ += static_cast<std::uint32_t>(more.size());
}

void Buffer::consume(std::size_t size) noexcept {
  assert(size <= this->size());
  begin_ += static_cast<std::uint32_t>(size);
  if (begin_ == end_) begin_ = end_ = 0;
}

void BufferReturn::operator()(Buffer* buffer) const noexcept {
  buffer->pool_->put(buffer);
}

BufferPool::~BufferPool() {
  assert(outstanding_ == 0);
  for (Buffer* buffer : small_) ::operator delete(buffer);
  for (Buffer* buffer : large_) ::operator delete(buffer);
}

BufferPtr BufferPool::get(std::size_t bytes) {
  assert(bytes <= large_bytes);
  const std::uint32_t capacity = bytes <= small_bytes ? small_bytes : large_bytes;
  auto& free = capacity == small_bytes ? small_ : large_;
  Buffer* buffer = nullptr;
  if (free.empty()) {
    free.reserve(kept);
    buffer = new (::operator new(sizeof(Buffer) + capacity)) Buffer(capacity);
    buffer->pool_ = this;
  } else {
    buffer = free.back();
    free.pop_back();
  }
  ++outstanding_;
  return BufferPtr(buffer);
}

void BufferPool::put(Buffer* buffer) noexcept {
  --outstanding_;
  auto& free = buffer->capacity_ == small_bytes ? small_ : large_;
  if (free.size() >= kept) {
    ::operator delete(buffer);
    return;
  }
  buffer->begin_ = buffer->end_ = 0;
  free.push_back(buffer);  // capacity was reserved in get()
}

}  // namespace holdfast
