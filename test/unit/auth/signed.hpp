#pragma once
// Makes tokens for tests, with HS256 and a secret that is in the test's rules.

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <string>
#include <string_view>

#include "holdfast/auth/token.hpp"
#include "holdfast/base/clock.hpp"

namespace holdfast::auth::test {

inline const std::string secret = "a secret that is long enough for HS256";
inline constexpr WallTime now{std::chrono::seconds(1'700'000'000)};

inline std::string encode(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(size));
  while (text.ends_with('=')) text.pop_back();
  for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return text;
}

inline std::string sign(std::string_view header, std::string_view payload, std::string_view with = secret) {
  const std::string text = encode(header) + "." + encode(payload);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  HMAC(EVP_sha256(), with.data(), static_cast<int>(with.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest, &size);
  return text + "." + encode({reinterpret_cast<const char*>(digest), size});
}

inline constexpr std::string_view plain_header = R"({"alg":"HS256"})";

inline config::Jwt rules() {
  config::Jwt jwt;
  jwt.secret = secret;
  jwt.algorithms = {config::JwtAlgorithm::hs256};
  return jwt;
}

}  // namespace holdfast::auth::test
