#pragma once
// What an open session keeps of its Story: one small block; upstream and backend are known from its seat.

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "holdfast/session/access.hpp"

namespace holdfast::session {

class PackedStory {
 public:
  /// Throws std::bad_alloc.
  explicit PackedStory(const Story& story);

  [[nodiscard]] std::string client() const { return part(0); }
  [[nodiscard]] std::string listener() const { return part(1); }
  /// But for its upstream and backend.
  [[nodiscard]] Story unpack() const;

 private:
  static constexpr std::size_t parts = 4;  // client, listener, host, path
  struct Head {
    std::array<std::uint32_t, 1 + parts> numbers{};  ///< handshake_ms, then the parts' sizes
    std::size_t size = 0;                            ///< its own
  };
  [[nodiscard]] Head head() const noexcept;
  [[nodiscard]] std::string part(std::size_t number) const;

  std::unique_ptr<char[]> block_;  ///< numbers, small ones in one byte, then the texts
};

}  // namespace holdfast::session
