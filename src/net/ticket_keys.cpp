#include "holdfast/net/ticket_keys.hpp"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace holdfast::net {

namespace {

constexpr std::size_t name_bytes = 16;  // what OpenSSL puts in front of a ticket

// What the callback of SSL_CTX_set_tlsext_ticket_key_evp_cb(3) answers.
constexpr int failed = -1;
constexpr int no_ticket = 0;
constexpr int good = 1;
constexpr int good_but_renew = 2;

bool is_random(unsigned char* bytes, std::size_t size) {
  return RAND_bytes(bytes, static_cast<int>(size)) == 1;
}

}  // namespace

struct TicketKeys::Key {
  std::array<unsigned char, name_bytes> name{};
  std::array<unsigned char, 32> cipher{};  // AES-256
  std::array<unsigned char, 32> mac{};     // HMAC-SHA-256
  TimePoint made{};

  Key() = default;
  Key(const Key&) = default;
  Key& operator=(const Key&) = default;
  ~Key() {
    OPENSSL_cleanse(cipher.data(), cipher.size());
    OPENSSL_cleanse(mac.data(), mac.size());
  }

  [[nodiscard]] bool fill() {
    return is_random(name.data(), name.size()) && is_random(cipher.data(), cipher.size()) &&
           is_random(mac.data(), mac.size());
  }
  [[nodiscard]] bool begin_mac(EVP_MAC_CTX* context) {
    std::array<char, 7> digest{"SHA256"};
    const std::array<OSSL_PARAM, 3> parameters{
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, mac.data(), mac.size()),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0),
        OSSL_PARAM_construct_end()};
    return EVP_MAC_CTX_set_params(context, parameters.data()) == 1;
  }
};

TicketKeys::TicketKeys(std::function<TimePoint()> now) : now_(std::move(now)) {
  rotate();
  if (keys_.empty()) throw std::runtime_error("no random bytes for TLS ticket keys");
}

TicketKeys::~TicketKeys() = default;

void TicketKeys::install(SSL_CTX* context) {
  SSL_CTX_set_app_data(context, this);
  SSL_CTX_set_timeout(context, static_cast<long>(std::chrono::seconds(lifetime).count()));
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket);
}

int TicketKeys::on_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                          EVP_MAC_CTX* mac, int sealing) {
  auto& self = *static_cast<TicketKeys*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  const std::lock_guard lock(self.mutex_);
  self.rotate();
  return sealing != 0 ? self.seal(name, iv, cipher, mac) : self.open(name, iv, cipher, mac);
}

int TicketKeys::seal(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac) {
  if (keys_.empty()) return no_ticket;
  Key& key = keys_.back();
  std::ranges::copy(key.name, name);
  const EVP_CIPHER* algorithm = EVP_aes_256_cbc();
  const bool sealed = is_random(iv, static_cast<std::size_t>(EVP_CIPHER_get_iv_length(algorithm))) &&
                      EVP_EncryptInit_ex(cipher, algorithm, nullptr, key.cipher.data(), iv) == 1 &&
                      key.begin_mac(mac);
  return sealed ? good : failed;
}

int TicketKeys::open(const unsigned char* name, const unsigned char* iv, EVP_CIPHER_CTX* cipher,
                     EVP_MAC_CTX* mac) {
  const auto found = std::ranges::find_if(
      keys_, [name](const Key& key) { return std::memcmp(key.name.data(), name, name_bytes) == 0; });
  if (found == keys_.end()) return no_ticket;
  const bool opened = EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, found->cipher.data(), iv) == 1 &&
                      found->begin_mac(mac);
  if (!opened) return failed;
  return &*found == &keys_.back() ? good : good_but_renew;
}

// A key that could not be made is tried again at the next use; the last one seals until then.
void TicketKeys::rotate() {
  const TimePoint now = now_();
  std::erase_if(keys_, [now](const Key& key) { return now - key.made >= period + lifetime; });
  if (!keys_.empty() && now - keys_.back().made < period) return;
  Key next;
  next.made = now;
  if (next.fill()) keys_.push_back(next);
}

}  // namespace holdfast::net
