#pragma once
// What an open session keeps of its Story: one small block; upstream and backend are known from its seat.

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
  struct Header {
    std::uint32_t handshake_ms;
    std::uint32_t ends[parts];  ///< in the text behind this header
  };
  [[nodiscard]] Header header() const noexcept;
  [[nodiscard]] std::string part(std::size_t number) const;

  std::unique_ptr<char[]> block_;
};

}  // namespace holdfast::session
