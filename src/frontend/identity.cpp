#include "frontend/identity.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <array>
#include <cstring>
#include <span>
#include <stdexcept>

namespace holdfast::frontend {

namespace {

std::string hexadecimal(const unsigned char* bytes, std::size_t size) {
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * size);
  for (std::size_t n = 0; n < size; ++n) {
    text += digits[bytes[n] >> 4U];
    text += digits[bytes[n] & 0xfU];
  }
  return text;
}

std::string sign(std::string_view secret, const std::string& message) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(message.data()), message.size(), digest.data(), &size);
  return hexadecimal(digest.data(), size);
}

}  // namespace

Randomness::Bytes Randomness::take() {
  if (used_ == sizeof stock_) {
    if (RAND_bytes(stock_.data(), static_cast<int>(stock_.size())) != 1) {
      throw std::runtime_error("no random bytes");
    }
    used_ = 0;
  }
  Bytes bytes;
  std::memcpy(bytes.data(), stock_.data() + used_, sizeof bytes);
  used_ += sizeof bytes;
  return bytes;
}

std::string random_key(Randomness& randomness) {
  const Randomness::Bytes bytes = randomness.take();
  return ws::make_key(std::as_bytes(std::span(bytes)));
}

session::SessionId random_session_id(Randomness& randomness) {
  return {randomness.take()};
}

ws::ExtraField session_field(const session::SessionId& id) {
  return {"Holdfast-Session", id.text()};
}

ws::ExtraField reroute_field(const session::SessionId& id, std::uint32_t number, std::string_view cause,
                             std::string_view secret, WallTime now) {
  const std::string count = std::to_string(number);
  std::string value = count + "; cause=";
  value += cause;
  if (!secret.empty()) {
    const auto since = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch());
    const std::string time = std::to_string(since.count());
    value += "; time=" + time + "; hmac=" + sign(secret, id.text() + " " + count + " " + time);
  }
  return {"Holdfast-Reroute", std::move(value)};
}

}  // namespace holdfast::frontend
