#pragma once
// Memory that reading needs, kept from one message to the next. One per thread: acts point into it.

#include <memory>

namespace holdfast::dialect {

struct ScratchMemory;

/// Allocates when a message is larger than all before it; what a message above 1 MiB needed is given back
/// with the next one.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(Scratch&&) noexcept;
  Scratch& operator=(Scratch&&) noexcept;

  [[nodiscard]] ScratchMemory& memory() noexcept { return *memory_; }

 private:
  std::unique_ptr<ScratchMemory> memory_;
};

}  // namespace holdfast::dialect
