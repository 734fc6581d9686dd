#include "holdfast/session/attempt.hpp"

namespace holdfast::session {

std::string SessionId::text() const {
  constexpr char digits[] = "0123456789abcdef";
  std::string text(2 * bytes.size(), '0');
  char* place = text.data();
  for (const std::uint8_t byte : bytes) {
    *place++ = digits[byte >> 4U];
    *place++ = digits[byte & 0xfU];
  }
  return text;
}

}  // namespace holdfast::session
