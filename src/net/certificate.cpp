#include <arpa/inet.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <array>

#include "holdfast/net/tls.hpp"
#include "net/openssl.hpp"

namespace holdfast::net {

namespace {

bool is_ip(const std::string& name) {
  std::array<unsigned char, sizeof(in6_addr)> binary{};
  return inet_pton(AF_INET, name.c_str(), binary.data()) == 1 ||
         inet_pton(AF_INET6, name.c_str(), binary.data()) == 1;
}

bool add_extension(X509* certificate, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
  const bool added = extension != nullptr && X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return added;
}

std::string as_pem(const openssl::BioPtr& memory) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

}  // namespace

Result<config::Certificate> make_self_signed(const std::vector<std::string>& names) {
  constexpr long thirty_days_seconds = 30L * 24 * 3600;
  const openssl::KeyPtr key(EVP_EC_gen("P-256"));
  const openssl::CertificatePtr certificate(X509_new());
  std::uint64_t serial = 0;
  std::string alternatives;
  for (const std::string& name : names) {
    alternatives += (alternatives.empty() ? "" : ",") + std::string(is_ip(name) ? "IP:" : "DNS:") + name;
  }
  X509* x = certificate.get();
  bool ok = key != nullptr && x != nullptr &&
            RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) == 1 &&
            X509_set_version(x, 2) == 1 &&
            ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial >> 1) == 1 &&
            X509_gmtime_adj(X509_getm_notBefore(x), -300) != nullptr &&
            X509_gmtime_adj(X509_getm_notAfter(x), thirty_days_seconds) != nullptr &&
            X509_set_pubkey(x, key.get()) == 1;
  if (ok) {
    X509_NAME* subject = X509_get_subject_name(x);
    ok = X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(names.front().c_str()), -1, -1,
                                    0) == 1 &&
         X509_set_issuer_name(x, subject) == 1 && add_extension(x, NID_subject_alt_name, alternatives) &&
         add_extension(x, NID_basic_constraints, "critical,CA:TRUE") &&
         X509_sign(x, key.get(), EVP_sha256()) > 0;
  }
  const openssl::BioPtr chain_text(BIO_new(BIO_s_mem()));
  const openssl::BioPtr key_text(BIO_new(BIO_s_mem()));
  ok = ok && PEM_write_bio_X509(chain_text.get(), x) == 1 &&
       PEM_write_bio_PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1;
  if (!ok) {
    return Error{Failure::internal, Side::us, Retry::no,
                 "cannot make a certificate: " + openssl::take_error("OpenSSL refused")};
  }
  config::Certificate made;
  made.chain = {"", as_pem(chain_text)};
  made.key = {"", as_pem(key_text)};
  return made;
}

}  // namespace holdfast::net
