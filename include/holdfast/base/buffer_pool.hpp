#pragma once
// Buffers for the little that a pump must keep between turns: an incomplete frame head, or what a slow
// destination has not taken yet. Idle sessions own none.
//
// Thread: the owning loop's. A buffer must not outlive its pool.

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

namespace holdfast {

class BufferPool;
struct BufferReturn;

/// A byte queue of fixed capacity: append at the end, consume at the front.
class Buffer {
 public:
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data() + begin_, end_ - begin_}; }
  [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }
  [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }
  /// Room at the end, once the consumed front is reclaimed.
  [[nodiscard]] std::size_t room() const noexcept { return capacity_ - size(); }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

  /// The caller has checked `room()`.
  void append(std::span<const std::byte> more) noexcept;
  void consume(std::size_t size) noexcept;

 private:
  friend class BufferPool;
  friend struct BufferReturn;
  explicit Buffer(std::uint32_t capacity) : capacity_(capacity) {}
  [[nodiscard]] std::byte* data() noexcept { return reinterpret_cast<std::byte*>(this + 1); }
  [[nodiscard]] const std::byte* data() const noexcept {
    return reinterpret_cast<const std::byte*>(this + 1);
  }

  std::uint32_t begin_ = 0;
  std::uint32_t end_ = 0;
  std::uint32_t capacity_;
  BufferPool* pool_ = nullptr;
};

struct BufferReturn {
  void operator()(Buffer* buffer) const noexcept;
};
using BufferPtr = std::unique_ptr<Buffer, BufferReturn>;

/// Three sizes are kept for reuse, so that nothing fragments: small (carried frame heads, control frames),
/// middle (a message or two), large (an unsent rest). What is larger comes from the allocator and goes back
/// to it.
class BufferPool {
 public:
  static constexpr std::uint32_t small_bytes = 256 - sizeof(Buffer);
  static constexpr std::uint32_t middle_bytes = 4096 - sizeof(Buffer);
  /// A read's worth of plaintext (see net::Scratch) plus room for control frames of our own.
  static constexpr std::uint32_t large_bytes = 96 * 1024;
  static constexpr std::uint32_t most_bytes = 256U << 20;
  /// How many free buffers of each size are kept; more are given back to the allocator.
  static constexpr std::size_t kept = 64;

  BufferPool() = default;
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;
  ~BufferPool();

  /// A buffer with at least `bytes` of room; `bytes` ≤ most_bytes. Throws std::bad_alloc.
  [[nodiscard]] BufferPtr get(std::size_t bytes);
  /// Appends to a buffer that may be null or too small: then its content moves to a larger one.
  void append(BufferPtr& buffer, std::span<const std::byte> more);
  [[nodiscard]] std::size_t outstanding() const noexcept { return outstanding_; }
  /// Capacities of all buffers that are out.
  [[nodiscard]] std::size_t outstanding_bytes() const noexcept { return outstanding_bytes_; }

 private:
  friend struct BufferReturn;
  static constexpr std::size_t sizes = 3;
  void put(Buffer* buffer) noexcept;

  std::array<std::vector<Buffer*>, sizes> free_;
  std::size_t outstanding_ = 0;
  std::size_t outstanding_bytes_ = 0;
};

}  // namespace holdfast
