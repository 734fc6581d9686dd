#pragma once
// Objects of one kind of one thread, found again by a handle that notices reuse: an answer that arrives for a
// session that has ended meanwhile finds nobody instead of somebody else.
//
// Thread: the owner's. Addresses are stable until `destroy`.

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
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
    if (first_free_ == none) grow();
    const std::uint32_t index = first_free_;
    Slot& slot = at(index);
    const std::uint32_t next_free = slot.next_free();
    T* object = nullptr;
    try {
      object = new (static_cast<void*>(slot.storage)) T(std::forward<Args>(args)...);
    } catch (...) {
      slot.set_next_free(next_free);  // the object may have begun to overwrite it
      throw;
    }
    first_free_ = next_free;
    slot.live = 1;
    ++size_;
    return {object, Handle{index, slot.generation}};
  }

  void destroy(Handle handle) noexcept {
    T* object = find(handle);
    assert(object != nullptr);
    Slot& slot = at(handle.index);
    object->~T();
    slot.live = 0;
    if (++slot.generation == 0) slot.generation = 1;
    slot.set_next_free(std::exchange(first_free_, handle.index));
    --size_;
  }

  [[nodiscard]] T* find(Handle handle) noexcept {
    if (handle.index >= chunks_.size() * chunk_slots) return nullptr;
    Slot& slot = at(handle.index);
    return slot.live != 0 && slot.generation == handle.generation ? slot.object() : nullptr;
  }

  /// Of a live object of this slab: who knows itself needs no handle.
  [[nodiscard]] Handle handle_of(const T& object) const noexcept {
    static_assert(offsetof(Slot, storage) == 0);
    const Slot& slot = reinterpret_cast<const Slot&>(object);
    assert(slot.live != 0 && slot.object() == &object);
    return {slot.index, slot.generation};
  }

  /// Visits every live object; the visitor may destroy the one it is given.
  template <class Visit>
  void for_each(Visit&& visit) {
    for (std::uint32_t index = 0; index < chunks_.size() * chunk_slots; ++index) {
      Slot& slot = at(index);
      if (slot.live != 0) visit(*slot.object(), Handle{index, slot.generation});
    }
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  static constexpr std::size_t chunk_slots = 64;
  static constexpr std::uint32_t none = UINT32_MAX;
  static constexpr std::uint32_t index_mask = UINT32_MAX >> 1U;
  // A free slot's storage begins with the index of the next one.
  struct Slot {
    alignas(T) std::byte storage[sizeof(T)];
    std::uint32_t generation = 1;
    std::uint32_t index : 31 = 0;
    std::uint32_t live : 1 = 0;
    [[nodiscard]] T* object() noexcept { return std::launder(reinterpret_cast<T*>(storage)); }
    [[nodiscard]] const T* object() const noexcept {
      return std::launder(reinterpret_cast<const T*>(storage));
    }
    [[nodiscard]] std::uint32_t next_free() const noexcept {
      static_assert(sizeof(T) >= sizeof(std::uint32_t));
      std::uint32_t next = none;
      std::memcpy(&next, storage, sizeof next);
      return next;
    }
    void set_next_free(std::uint32_t next) noexcept { std::memcpy(storage, &next, sizeof next); }
  };
  [[nodiscard]] Slot& at(std::uint32_t index) noexcept {
    return chunks_[index / chunk_slots][index % chunk_slots];
  }
  void grow() {
    const auto first = static_cast<std::uint32_t>(chunks_.size() * chunk_slots);
    chunks_.push_back(std::make_unique<Slot[]>(chunk_slots));
    for (std::uint32_t n = chunk_slots; n-- > 0;) {
      Slot& slot = chunks_.back()[n];
      slot.index = (first + n) & index_mask;
      slot.set_next_free(std::exchange(first_free_, first + n));
    }
  }

  std::vector<std::unique_ptr<Slot[]>> chunks_;
  std::uint32_t first_free_ = none;
  std::size_t size_ = 0;
};

}  // namespace holdfast
