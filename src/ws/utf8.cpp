#include "holdfast/ws/utf8.hpp"

namespace holdfast::ws {

bool is_utf8(std::span<const std::byte> bytes) noexcept {
  std::size_t at = 0;
  while (at < bytes.size()) {
    const auto first = std::to_integer<unsigned>(bytes[at]);
    if (first < 0x80) {
      ++at;
      continue;
    }
    const std::size_t further = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    if (first < 0xc2 || first > 0xf4 || bytes.size() - at <= further) return false;
    const auto second = std::to_integer<unsigned>(bytes[at + 1]);
    // The second byte tells overlong forms, surrogates and what is above U+10FFFF.
    const unsigned least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    const unsigned most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (second < least || second > most) return false;
    for (std::size_t n = 2; n <= further; ++n) {
      if ((std::to_integer<unsigned>(bytes[at + n]) & 0xc0U) != 0x80) return false;
    }
    at += further + 1;
  }
  return true;
}

}  // namespace holdfast::ws
