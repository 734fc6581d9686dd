#include "holdfast/base/buffer_pool.hpp"

#include <algorithm>
#include <new>
#include <utility>

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

namespace {
constexpr std::array<std::uint32_t, 3> capacities{BufferPool::small_bytes, BufferPool::middle_bytes,
                                                  BufferPool::large_bytes};

// Index into `capacities`; their number for what is larger than all.
std::size_t size_class(std::size_t bytes) noexcept {
  std::size_t index = 0;
  while (index < capacities.size() && bytes > capacities[index]) ++index;
  return index;
}

// What is larger than all of them: whole pages.
std::size_t round_up(std::size_t bytes) noexcept {
  return (bytes + 4095) / 4096 * 4096;
}
}  // namespace

BufferPool::~BufferPool() {
  assert(outstanding_ == 0);
  for (const auto& free : free_) {
    for (Buffer* buffer : free) ::operator delete(buffer);
  }
}

BufferPtr BufferPool::get(std::size_t bytes) {
  assert(bytes <= most_bytes);
  const std::size_t index = size_class(bytes);
  const auto capacity =
      index < capacities.size() ? capacities[index] : static_cast<std::uint32_t>(round_up(bytes));
  Buffer* buffer = nullptr;
  if (index == capacities.size() || free_[index].empty()) {
    if (index < capacities.size()) free_[index].reserve(kept);
    buffer = new (::operator new(sizeof(Buffer) + capacity)) Buffer(capacity);
    buffer->pool_ = this;
  } else {
    buffer = free_[index].back();
    free_[index].pop_back();
  }
  ++outstanding_;
  outstanding_bytes_ += capacity;
  return BufferPtr(buffer);
}

void BufferPool::append(BufferPtr& buffer, std::span<const std::byte> more) {
  const std::size_t wanted = more.size() + (buffer == nullptr ? 0 : buffer->size());
  if (buffer == nullptr || buffer->room() < more.size()) {
    // Half as large again, so that what grows bit by bit is not copied each time.
    const std::size_t grown = buffer == nullptr ? 0 : buffer->capacity() + buffer->capacity() / 2;
    BufferPtr larger = get(std::max(wanted, std::min<std::size_t>(grown, most_bytes)));
    if (buffer != nullptr) larger->append(buffer->bytes());
    buffer = std::move(larger);
  }
  buffer->append(more);
}

void BufferPool::put(Buffer* buffer) noexcept {
  --outstanding_;
  outstanding_bytes_ -= buffer->capacity_;
  const std::size_t index = size_class(buffer->capacity_);
  if (index == capacities.size() || free_[index].size() >= kept) {
    ::operator delete(buffer);
    return;
  }
  buffer->begin_ = buffer->end_ = 0;
  free_[index].push_back(buffer);  // room was reserved in get()
}

}  // namespace holdfast
