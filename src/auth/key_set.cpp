#include "holdfast/auth/key_set.hpp"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>
#include <utility>

#include "auth/base64url.hpp"
#include "auth/strict_json.hpp"

namespace holdfast::auth {

using config::JwtAlgorithm;
using nlohmann::json;

namespace {

constexpr int least_rsa_bits = 2048;
// Verifying takes the square of the size, and anybody may have us verify.
constexpr int most_rsa_bits = 8192;
constexpr std::size_t coordinate_bytes = 32;
constexpr int digest_bytes = 32;

template <auto free>
struct FreeWith {
  template <class T>
  void operator()(T* thing) const noexcept {
    free(thing);
  }
};
using PublicKey = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, FreeWith<EVP_PKEY_CTX_free>>;
using Number = std::unique_ptr<BIGNUM, FreeWith<BN_free>>;

// TLS legs of the same thread look at OpenSSL's queue of errors: what fails here must leave none.
class QuietErrors {
 public:
  QuietErrors() noexcept { ERR_set_mark(); }
  ~QuietErrors() { ERR_pop_to_mark(); }
  QuietErrors(const QuietErrors&) = delete;
  QuietErrors& operator=(const QuietErrors&) = delete;
};

const unsigned char* bytes(std::string_view text) noexcept {
  return reinterpret_cast<const unsigned char*>(text.data());
}

Error bad_key(std::string what) {
  return {Failure::internal, Side::us, Retry::no, std::move(what)};
}

PublicKey make_public(const char* type, OSSL_PARAM_BLD* builder) {
  const std::unique_ptr<OSSL_PARAM, FreeWith<OSSL_PARAM_free>> params(OSSL_PARAM_BLD_to_param(builder));
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* made = nullptr;
  const bool done = params != nullptr && context != nullptr && EVP_PKEY_fromdata_init(context.get()) == 1 &&
                    EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_PUBLIC_KEY, params.get()) == 1;
  return PublicKey(done ? made : nullptr);
}

// What must be true of it wherever it comes from: the reason against it, or "".
std::string fault_in(EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "RSA") == 1) {
    const int bits = EVP_PKEY_get_bits(key);
    if (bits < least_rsa_bits || bits > most_rsa_bits)
      return "its RSA key has " + std::to_string(bits) + " bits, must be 2048 to 8192";
    BIGNUM* exponent = nullptr;
    EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent);
    const Number owned(exponent);
    // With an exponent of 1 everybody can sign.
    const bool good = exponent != nullptr && BN_is_odd(exponent) == 1 && BN_is_one(exponent) == 0 &&
                      BN_num_bits(exponent) <= 64;
    return good ? "" : "its RSA exponent must be odd, above 1 and of 64 bits at most";
  }
  std::array<char, 32> group{};
  const bool named =
      EVP_PKEY_is_a(key, "EC") == 1 && EVP_PKEY_get_group_name(key, group.data(), group.size(), nullptr) == 1;
  if (!named || std::string_view(group.data()) != "prime256v1")
    return "must be an RSA key or one of the curve P-256";
  const KeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  return EVP_PKEY_public_check(context.get()) == 1 ? "" : "its point is not on the curve P-256";
}

std::string text_of(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::optional<std::string> bytes_of(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_string()) return std::nullopt;
  return decode_base64url(found->get_ref<const std::string&>());
}

PublicKey rsa_of(const json& jwk) {
  const auto modulus = bytes_of(jwk, "n");
  const auto exponent = bytes_of(jwk, "e");
  if (!modulus || !exponent || modulus->empty() || modulus->size() > 4096 || exponent->size() > 64)
    return nullptr;
  const Number n(BN_bin2bn(bytes(*modulus), static_cast<int>(modulus->size()), nullptr));
  const Number e(BN_bin2bn(bytes(*exponent), static_cast<int>(exponent->size()), nullptr));
  const std::unique_ptr<OSSL_PARAM_BLD, FreeWith<OSSL_PARAM_BLD_free>> builder(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get());
  return make_public("RSA", builder.get());
}

PublicKey ec_of(const json& jwk) {
  const auto x = bytes_of(jwk, "x");
  const auto y = bytes_of(jwk, "y");
  if (!x || !y || x->size() != coordinate_bytes || y->size() != coordinate_bytes) return nullptr;
  const std::string point = std::string(1, '\x04') + *x + *y;
  const std::unique_ptr<OSSL_PARAM_BLD, FreeWith<OSSL_PARAM_BLD_free>> builder(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0);
  OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size());
  return make_public("EC", builder.get());
}

bool is_listed(const config::Jwt& settings, JwtAlgorithm algorithm) {
  return std::ranges::find(settings.algorithms, algorithm) != settings.algorithms.end();
}

// What it could verify here; nothing for kinds and purposes that are not ours (RFC 7517 section 5: pass
// over).
std::optional<JwtAlgorithm> purpose_of(const json& jwk) {
  const std::string kind = text_of(jwk, "kty");
  const std::string use = text_of(jwk, "use");
  if (!use.empty() && use != "sig") return std::nullopt;
  if (const auto deeds = jwk.find("key_ops"); deeds != jwk.end() && deeds->is_array()) {
    if (std::ranges::find(*deeds, json("verify")) == deeds->end()) return std::nullopt;
  }
  std::optional<JwtAlgorithm> algorithm;
  if (kind == "oct") algorithm = JwtAlgorithm::hs256;
  if (kind == "RSA") algorithm = JwtAlgorithm::rs256;
  if (kind == "EC" && text_of(jwk, "crv") == "P-256") algorithm = JwtAlgorithm::es256;
  const std::string named = text_of(jwk, "alg");
  if (algorithm && !named.empty() && named != config::to_string(*algorithm)) return std::nullopt;
  return algorithm;
}

Result<Key> key_of(const json& jwk, JwtAlgorithm algorithm) {
  std::string id = text_of(jwk, "kid");
  if (algorithm == JwtAlgorithm::hs256) {
    auto secret = bytes_of(jwk, "k");
    if (!secret) return bad_key("its \"k\" must be base64url");
    if (secret->size() < config::Jwt::least_secret_bytes)
      return bad_key("its secret has " + std::to_string(secret->size()) + " bytes, must be at least 32");
    return Key::of_secret(std::move(id), *std::move(secret));
  }
  const bool is_rsa = algorithm == JwtAlgorithm::rs256;
  PublicKey key = is_rsa ? rsa_of(jwk) : ec_of(jwk);
  if (key == nullptr)
    return bad_key(is_rsa
                       ? "its \"n\" and \"e\" must be base64url and make an RSA key"
                       : "its \"x\" and \"y\" must be 32 bytes each in base64url and make a point of P-256");
  if (std::string fault = fault_in(key.get()); !fault.empty()) return bad_key(std::move(fault));
  return Key::of_public_key(std::move(id), algorithm, key.release());
}

Result<std::vector<Key>> read_jwks(const config::Jwt& settings) {
  const auto document = parse_object(settings.keys);
  if (!document) return bad_key("must be a JSON object (a JWKS), or a PEM public key");
  const auto list = document->find("keys");
  if (list == document->end() || !list->is_array())
    return bad_key("must have a list \"keys\", as a JWKS has");
  std::vector<Key> keys;
  for (std::size_t n = 0; n < list->size(); ++n) {
    const json& jwk = (*list)[n];
    const std::string place = "keys[" + std::to_string(n) + "]: ";
    if (!jwk.is_object() || text_of(jwk, "kty").empty())
      return bad_key(place + "must be an object with a \"kty\"");
    const auto algorithm = purpose_of(jwk);
    if (!algorithm || !is_listed(settings, *algorithm)) continue;
    auto key = key_of(jwk, *algorithm);
    if (!key) return bad_key(place + key.error().what);
    keys.push_back(std::move(key.value()));
  }
  return keys;
}

Result<std::vector<Key>> read_pem(const config::Jwt& settings) {
  const std::unique_ptr<BIO, FreeWith<BIO_free>> source(
      BIO_new_mem_buf(settings.keys.data(), static_cast<int>(settings.keys.size())));
  std::vector<Key> keys;
  while (PublicKey key = PublicKey(PEM_read_bio_PUBKEY(source.get(), nullptr, nullptr, nullptr))) {
    if (std::string fault = fault_in(key.get()); !fault.empty()) return bad_key(std::move(fault));
    const auto algorithm = EVP_PKEY_is_a(key.get(), "RSA") == 1 ? JwtAlgorithm::rs256 : JwtAlgorithm::es256;
    if (is_listed(settings, algorithm)) keys.push_back(Key::of_public_key({}, algorithm, key.release()));
  }
  return keys;
}

bool verify_hmac(const std::string& secret, std::string_view text, std::string_view signature) {
  if (signature.size() != digest_bytes) return false;
  std::array<unsigned char, digest_bytes> digest{};
  unsigned size = 0;
  const bool made = HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()), bytes(text),
                         text.size(), digest.data(), &size) != nullptr;
  return made && size == digest.size() && CRYPTO_memcmp(digest.data(), signature.data(), digest.size()) == 0;
}

// r and s behind each other → the DER that OpenSSL reads; empty when there is no memory.
std::string as_der(std::string_view signature) {
  const std::unique_ptr<ECDSA_SIG, FreeWith<ECDSA_SIG_free>> parts(ECDSA_SIG_new());
  Number r(BN_bin2bn(bytes(signature), coordinate_bytes, nullptr));
  Number s(BN_bin2bn(bytes(signature) + coordinate_bytes, coordinate_bytes, nullptr));
  if (parts == nullptr || r == nullptr || s == nullptr) return {};
  ECDSA_SIG_set0(parts.get(), r.release(), s.release());
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(parts.get(), &der);
  if (size <= 0) return {};
  std::string text(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return text;
}

bool verify_public(EVP_PKEY* key, std::string_view text, std::string_view signature) {
  const std::unique_ptr<EVP_MD_CTX, FreeWith<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
  return context != nullptr &&
         EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key) == 1 &&
         EVP_DigestVerify(context.get(), bytes(signature), signature.size(), bytes(text), text.size()) == 1;
}

}  // namespace

Key Key::of_secret(std::string id, std::string secret) {
  Key key(std::move(id), JwtAlgorithm::hs256);
  key.secret_ = std::move(secret);
  return key;
}

Key Key::of_public_key(std::string id, JwtAlgorithm algorithm, EVP_PKEY* taken) {
  Key key(std::move(id), algorithm);
  key.public_key_.reset(taken);
  return key;
}

bool Key::verifies(std::string_view signed_text, std::string_view signature) const {
  const QuietErrors quiet;
  switch (algorithm_) {
    case JwtAlgorithm::hs256:
      return verify_hmac(secret_, signed_text, signature);
    case JwtAlgorithm::rs256:
      return verify_public(public_key_.get(), signed_text, signature);
    case JwtAlgorithm::es256:
      break;
  }
  if (signature.size() != 2 * coordinate_bytes) return false;
  return verify_public(public_key_.get(), signed_text, as_der(signature));
}

Result<KeySet> KeySet::create(const config::Jwt& settings) {
  const QuietErrors quiet;
  KeySet set;
  if (!settings.secret.empty()) {
    set.keys_.push_back(Key::of_secret({}, settings.secret));
    return set;
  }
  const bool is_pem = settings.keys.find("-----BEGIN PUBLIC KEY-----") != std::string::npos;
  auto keys = is_pem ? read_pem(settings) : read_jwks(settings);
  if (!keys) return keys.error();
  set.keys_ = std::move(keys.value());
  if (set.keys_.empty()) {
    std::string listed;
    for (const JwtAlgorithm each : settings.algorithms)
      listed += (listed.empty() ? "" : ", ") + std::string(config::to_string(each));
    return bad_key("has no key for any of the algorithms: " + listed);
  }
  if (set.keys_.size() > most_keys)
    return bad_key("has more than " + std::to_string(most_keys) + " usable keys");
  return set;
}

}  // namespace holdfast::auth
