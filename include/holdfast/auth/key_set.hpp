#pragma once
// The keys that a route's tokens may be signed with. Sans-io.
//
// Threads: immutable, shared by all setup threads (OpenSSL verifies with one EVP_PKEY from many threads).

#include <openssl/evp.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/error.hpp"
#include "holdfast/config/auth.hpp"

namespace holdfast::auth {

/// One key with the one algorithm that it is for: a public key is never an HMAC secret, whatever a token
/// says (RFC 8725 section 3.1).
class Key {
 public:
  [[nodiscard]] static Key of_secret(std::string id, std::string secret);
  [[nodiscard]] static Key of_public_key(std::string id, config::JwtAlgorithm algorithm, EVP_PKEY* taken);

  [[nodiscard]] const std::string& id() const noexcept { return id_; }  ///< empty = none
  [[nodiscard]] config::JwtAlgorithm algorithm() const noexcept { return algorithm_; }
  /// `signature` as it stands in a JWS: for ES256 r and s, 32 bytes each (RFC 7518 section 3.4).
  [[nodiscard]] bool verifies(std::string_view signed_text, std::string_view signature) const;

 private:
  struct FreeKey {
    void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
  };
  Key(std::string id, config::JwtAlgorithm algorithm) : id_(std::move(id)), algorithm_(algorithm) {}

  std::string id_;
  config::JwtAlgorithm algorithm_;
  std::string secret_;
  std::unique_ptr<EVP_PKEY, FreeKey> public_key_;
};

class KeySet {
 public:
  static constexpr std::size_t most_keys = 64;  ///< each may have to be tried for a token without a kid

  /// From what keys_file or secret_file holds: a JWKS (RFC 7517; unknown kinds of keys, those for encryption
  /// and those for algorithms that are not listed are passed over), a PEM public key, a secret. An Error says
  /// what is wrong with which key: RSA below 2048 bits, HMAC below 32 bytes, a point that is not on P-256.
  [[nodiscard]] static Result<KeySet> create(const config::Jwt& settings);

  [[nodiscard]] const std::vector<Key>& keys() const noexcept { return keys_; }

 private:
  std::vector<Key> keys_;
};

}  // namespace holdfast::auth
