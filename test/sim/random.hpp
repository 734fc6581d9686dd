#pragma once
// All chance of a run comes from here: one seed, one run.

#include <cstddef>
#include <cstdint>
#include <random>

namespace holdfast::sim {

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  [[nodiscard]] std::uint64_t any() { return engine_(); }
  /// 0 to limit - 1; limit ≥ 1.
  [[nodiscard]] std::size_t below(std::size_t limit) { return static_cast<std::size_t>(engine_() % limit); }
  /// Both ends included.
  [[nodiscard]] std::size_t between(std::size_t least, std::size_t most) {
    return least + below(most - least + 1);
  }
  [[nodiscard]] bool chance(unsigned percent) { return engine_() % 100 < percent; }
  /// 1 to most; small ones as often as large ones. most ≥ 1.
  [[nodiscard]] std::size_t some(std::size_t most) {
    switch (below(4)) {
      case 0:
        return most;
      case 1:
        return most < 8 ? between(1, most) : between(1, 8);
      default:
        return between(1, most);
    }
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace holdfast::sim
