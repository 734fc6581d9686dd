#pragma once
// Buffers for the little that a pump must keep between turns: an incomplete frame head, or what a slow
// destination has not taken yet. Idle sessions own none.
//
// Thread: the owning loop's. A buffer must not outlive its pool.

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

/// Two sizes only, so that nothing fragments: small (carried frame heads, control frames), large (an unsent
/// rest).
class BufferPool {
 public:
  static constexpr std::uint32_t small_bytes = 256 - sizeof(Buffer);
  /// A read's worth of plaintext (see net::Scratch) plus room for control frames of our own.
  static constexpr std::uint32_t large_bytes = 96 * 1024;
  /// How many free buffers of each size are kept; more are given back to the allocator.
  static constexpr std::size_t kept = 64;

  BufferPool() = default;
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;
  ~BufferPool();

  /// A buffer with at least `bytes` of room; `bytes` ≤ large_bytes. Throws std::bad_alloc.
  [[nodiscard]] BufferPtr get(std::size_t bytes);
  [[nodiscard]] std::size_t outstanding() const noexcept { return outstanding_; }

 private:
  friend struct BufferReturn;
  void put(Buffer* buffer) noexcept;

  std::vector<Buffer*> small_;
  std::vector<Buffer*> large_;
  std::size_t outstanding_ = 0;
};

}  // namespace holdfast
