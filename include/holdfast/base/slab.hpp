#pragma once
// Objects of one kind of one thread, found again by a handle that notices reuse: an answer that arrives for a
// session that has ended meanwhile finds nobody instead of somebody else.
//
// Thread: the owner's. Addresses are stable until `destroy`.

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace holdfast {

/// Names one life of one slot. 0/0 names nobody.
struct Handle {
  std::uint32_t index = 0;
  std::uint32_t generation = 0;
  friend bool operator==(const Handle&, const Handle&) = default;
};

template <class T>
class Slab {
 public:
  Slab() = default;
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;
  ~Slab() {
    for_each([this](T& object, Handle handle) {
      (void)object;
      destroy(handle);
    });
  }

  template <class... Args>
  [[nodiscard]] std::pair<T*, Handle> create(Args&&... args) {
    if (free_.empty()) grow();
    const std::uint32_t index = free_.back();
    Slot& slot = at(index);
    T* object = new (static_cast<void*>(slot.storage)) T(std::forward<Args>(args)...);
    free_.pop_back();
    slot.live = true;
    ++size_;
    return {object, Handle{index, slot.generation}};
  }

  void destroy(Handle handle) noexcept {
    T* object = find(handle);
    assert(object != nullptr);
    Slot& slot = at(handle.index);
    object->~T();
    slot.live = false;
    if (++slot.generation == 0) slot.generation = 1;
    free_.push_back(handle.index);
    --size_;
  }

  [[nodiscard]] T* find(Handle handle) noexcept {
    if (handle.index >= chunks_.size() * chunk_slots) return nullptr;
    Slot& slot = at(handle.index);
    return slot.live && slot.generation == handle.generation ? slot.object() : nullptr;
  }

  /// Visits every live object; the visitor may destroy the one it is given.
  template <class Visit>
  void for_each(Visit&& visit) {
    for (std::uint32_t index = 0; index < chunks_.size() * chunk_slots; ++index) {
      Slot& slot = at(index);
      if (slot.live) visit(*slot.object(), Handle{index, slot.generation});
    }
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  static constexpr std::size_t chunk_slots = 64;
  struct Slot {
    alignas(T) std::byte storage[sizeof(T)];
    std::uint32_t generation = 1;
    bool live = false;
    [[nodiscard]] T* object() noexcept { return std::launder(reinterpret_cast<T*>(storage)); }
  };
  [[nodiscard]] Slot& at(std::uint32_t index) noexcept {
    return chunks_[index / chunk_slots][index % chunk_slots];
  }
  void grow() {
    const auto first = static_cast<std::uint32_t>(chunks_.size() * chunk_slots);
    free_.reserve(first + chunk_slots);
    chunks_.push_back(std::make_unique<Slot[]>(chunk_slots));
    for (std::uint32_t n = chunk_slots; n-- > 0;) free_.push_back(first + n);
  }

  std::vector<std::unique_ptr<Slot[]>> chunks_;
  std::vector<std::uint32_t> free_;
  std::size_t size_ = 0;
};

}  // namespace holdfast
