#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "holdfast/net/tls.hpp"
#include "net/openssl.hpp"

namespace holdfast::net {

namespace {

using openssl::take_error;

Error problem(std::string what) {
  return {Failure::tls, Side::us, Retry::no, std::move(what)};
}

void set_common_options(SSL_CTX* context) {
  SSL_CTX_set_options(context,
                      SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  // No partial writes: a peer may ask for small records, and a leg counts on the whole piece being sealed.
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

// The password callback refuses: an encrypted key must not make the server ask on the terminal.
int no_password(char*, int, int, void*) {
  return -1;
}

Result<void> use_certificate(SSL_CTX* context, const config::Certificate& certificate) {
  const auto chain = openssl::reader(certificate.chain.pem);
  const openssl::CertificatePtr leaf(PEM_read_bio_X509_AUX(chain.get(), nullptr, no_password, nullptr));
  if (leaf == nullptr || SSL_CTX_use_certificate(context, leaf.get()) != 1) {
    return problem(certificate.chain.path + ": no usable PEM certificate (" + take_error("empty") + ")");
  }
  while (X509* issuer = PEM_read_bio_X509(chain.get(), nullptr, no_password, nullptr)) {
    if (SSL_CTX_add0_chain_cert(context, issuer) != 1) {
      X509_free(issuer);
      return problem(certificate.chain.path + ": " + take_error("bad chain"));
    }
  }
  ERR_clear_error();  // the read that found no further certificate
  const auto key_text = openssl::reader(certificate.key.pem);
  const openssl::KeyPtr key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, no_password, nullptr));
  if (key == nullptr) {
    return problem(certificate.key.path + ": no usable PEM private key without a password (" +
                   take_error("empty") + ")");
  }
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1) {
    return problem(certificate.key.path + ": does not fit " + certificate.chain.path + " (" +
                   take_error("mismatch") + ")");
  }
  return {};
}

Result<void> trust(SSL_CTX* context, const config::PemFile& authority) {
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  const auto text = openssl::reader(authority.pem);
  int count = 0;
  while (const openssl::CertificatePtr one{PEM_read_bio_X509(text.get(), nullptr, no_password, nullptr)}) {
    X509_STORE_add_cert(store, one.get());
    SSL_CTX_add_client_CA(context, one.get());
    ++count;
  }
  ERR_clear_error();
  if (count == 0) return problem(authority.path + ": holds no PEM certificate");
  return {};
}

int choose_alpn(SSL*, const unsigned char** out, unsigned char* length, const unsigned char* offered,
                unsigned int offered_length, void*) {
  static constexpr std::array<unsigned char, 9> ours{8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, length, ours.data(), ours.size(), offered, offered_length) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;  // RFC 7301 section 3.2: no_application_protocol
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

int choose_certificate(SSL* ssl, int*, void* argument) {
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (name == nullptr) return SSL_TLSEXT_ERR_NOACK;
  SSL_set_SSL_CTX(ssl, static_cast<const TlsServer*>(argument)->for_name(name));
  return SSL_TLSEXT_ERR_OK;
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

// The names that a certificate is for: its DNS subject alternative names, else its common name.
std::vector<std::string> certificate_names(SSL_CTX* context) {
  std::vector<std::string> names;
  X509* leaf = SSL_CTX_get0_certificate(context);
  auto* alternatives =
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(leaf, NID_subject_alt_name, nullptr, nullptr));
  for (int n = 0; n < sk_GENERAL_NAME_num(alternatives); ++n) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(alternatives, n);
    if (name->type != GEN_DNS) continue;
    names.push_back(lower({reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                           static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName))}));
  }
  GENERAL_NAMES_free(alternatives);
  std::array<char, 256> common{};
  if (names.empty() && X509_NAME_get_text_by_NID(X509_get_subject_name(leaf), NID_commonName, common.data(),
                                                 static_cast<int>(common.size())) > 0) {
    names.push_back(lower(common.data()));
  }
  return names;
}

}  // namespace

Result<std::shared_ptr<const TlsServer>> TlsServer::create(const config::ListenerTls& tls,
                                                           const std::string& identity, TicketKeys& keys) {
  std::shared_ptr<TlsServer> server(new TlsServer);
  std::array<unsigned char, SHA256_DIGEST_LENGTH> session_context{};
  const std::string bound_to = identity + '\0' + tls.client_ca.pem;
  SHA256(reinterpret_cast<const unsigned char*>(bound_to.data()), bound_to.size(), session_context.data());
  for (const config::Certificate& certificate : tls.certificates) {
    ContextPtr context(SSL_CTX_new(TLS_server_method()));
    set_common_options(context.get());
    SSL_CTX_set_options(context.get(), SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_min_proto_version(
        context.get(), tls.min_version == config::TlsVersion::v1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
    if (auto used = use_certificate(context.get(), certificate); !used) return used.error();
    if (!tls.client_ca.empty()) {
      if (auto trusted = trust(context.get(), tls.client_ca); !trusted) return trusted.error();
      SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    }
    SSL_CTX_set_session_id_context(context.get(), session_context.data(), session_context.size());
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);  // tickets only: no memory per client
    keys.install(context.get());
    SSL_CTX_set_num_tickets(context.get(), 1);
    SSL_CTX_set_alpn_select_cb(context.get(), choose_alpn, nullptr);
    for (std::string& name : certificate_names(context.get()))
      server->names_.push_back({std::move(name), context.get()});
    server->contexts_.push_back(std::move(context));
  }
  SSL_CTX* entry = server->default_context();
  SSL_CTX_set_tlsext_servername_callback(entry, choose_certificate);
  SSL_CTX_set_tlsext_servername_arg(entry, server.get());
  return std::shared_ptr<const TlsServer>(std::move(server));
}

SSL_CTX* TlsServer::for_name(std::string_view server_name) const noexcept {
  const auto same = [](char a, char b) {
    return a == static_cast<char>(std::tolower(static_cast<unsigned char>(b)));
  };
  for (const Name& name : names_) {
    if (std::ranges::equal(name.pattern, server_name, same)) return name.context;
  }
  const auto dot = server_name.find('.');
  if (dot == std::string_view::npos) return default_context();
  const std::string_view parent = server_name.substr(dot);
  for (const Name& name : names_) {
    if (name.pattern.starts_with("*.") && std::ranges::equal(name.pattern.substr(1), parent, same))
      return name.context;
  }
  return default_context();
}

Result<std::shared_ptr<const TlsClient>> TlsClient::create(const config::UpstreamTls& tls) {
  std::shared_ptr<TlsClient> client(new TlsClient);
  client->context_.reset(SSL_CTX_new(TLS_client_method()));
  client->server_name_ = tls.server_name;
  SSL_CTX* context = client->context_.get();
  set_common_options(context);
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_verify(
      context, tls.verify == config::UpstreamTls::Verify::yes ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  if (tls.ca.empty()) {
    SSL_CTX_set_default_verify_paths(context);
  } else if (auto trusted = trust(context, tls.ca); !trusted) {
    return trusted.error();
  }
  if (!tls.certificate.empty()) {
    if (auto used = use_certificate(context, tls.certificate); !used) return used.error();
  }
  return std::shared_ptr<const TlsClient>(std::move(client));
}

}  // namespace holdfast::net
