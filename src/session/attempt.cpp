#include "holdfast/session/attempt.hpp"

#include <openssl/crypto.h>

namespace holdfast::session {

std::string SessionId::text() const {
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const std::uint8_t byte : bytes) {
    text += digits[byte >> 4U];
    text += digits[byte & 0xfU];
  }
  return text;
}

Continuation::~Continuation() {
  OPENSSL_cleanse(request.data(), request.size());
}

}  // namespace holdfast::session
