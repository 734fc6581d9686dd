#pragma once
// TLS on both sides: contexts (made at load, immutable, shared by sessions through OpenSSL's own reference
// count) and the TLS leg. A context is never changed: a reload makes new ones, live sessions keep theirs.

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/error.hpp"
#include "holdfast/config/config.hpp"
#include "holdfast/net/leg.hpp"
#include "holdfast/net/socket.hpp"
#include "holdfast/net/ticket_keys.hpp"

namespace holdfast::net {

struct ContextFree {
  void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
};
using ContextPtr = std::unique_ptr<SSL_CTX, ContextFree>;

/// The certificates of one listener. Any thread may start handshakes with it.
class TlsServer {
 public:
  /// Every problem in `tls` is an Error that names the file and what is wrong with it. `identity` (the
  /// listener's name) binds tickets to this listener: one with client_ca never accepts another's session.
  /// `keys` outlives every handshake.
  [[nodiscard]] static Result<std::shared_ptr<const TlsServer>> create(const config::ListenerTls& tls,
                                                                       const std::string& identity,
                                                                       TicketKeys& keys);
  TlsServer(const TlsServer&) = delete;
  TlsServer& operator=(const TlsServer&) = delete;

  [[nodiscard]] SSL_CTX* for_name(std::string_view server_name) const noexcept;  ///< never null
  [[nodiscard]] SSL_CTX* default_context() const noexcept { return contexts_.front().get(); }

 private:
  TlsServer() = default;
  struct Name {
    std::string pattern;  ///< lower case; "*." in front = one label
    SSL_CTX* context;
  };
  std::vector<ContextPtr> contexts_;
  std::vector<Name> names_;
};

/// How to speak TLS to the backends of one upstream.
class TlsClient {
 public:
  [[nodiscard]] static Result<std::shared_ptr<const TlsClient>> create(const config::UpstreamTls& tls);
  [[nodiscard]] SSL_CTX* context() const noexcept { return context_.get(); }
  [[nodiscard]] const std::string& server_name() const noexcept { return server_name_; }

 private:
  TlsClient() = default;
  ContextPtr context_;
  std::string server_name_;  ///< empty = the host of the backend's address
};

/// The outcome of one step of a TLS handshake.
enum class HandshakeStep : std::uint8_t { done, want_read, want_write, failed };

/// A TLS leg before and after its handshake. Until `use_scratch` it reads ahead into its own buffer, which
/// goes along: so no ciphertext of one connection is ever left in a buffer of the setup thread.
class TlsLeg : public Leg {
 public:
  [[nodiscard]] virtual HandshakeStep handshake() noexcept = 0;
  /// Why the handshake failed, in OpenSSL's words; valid after `failed`.
  [[nodiscard]] virtual std::string failure() const = 0;
  /// Subject of the verified client certificate, RFC 2253; empty when there is none.
  [[nodiscard]] virtual std::string peer_subject() const = 0;
  /// The common name in it; empty when there is none.
  [[nodiscard]] virtual std::string peer_common_name() const = 0;
  [[nodiscard]] virtual std::string server_name() const = 0;  ///< that the client asked for; empty = none
  [[nodiscard]] virtual std::string version() const = 0;      ///< "TLSv1.3"
};

[[nodiscard]] std::unique_ptr<TlsLeg> make_tls_server_leg(Socket socket, const TlsServer& server);
/// The same on the connection of a plain leg, from its next byte on.
[[nodiscard]] std::unique_ptr<TlsLeg> make_tls_server_leg(std::unique_ptr<Leg> plain,
                                                          const TlsServer& server);
/// `host` is the backend's host, used where the upstream names no server_name.
[[nodiscard]] std::unique_ptr<TlsLeg> make_tls_client_leg(Socket socket, const TlsClient& client,
                                                          const std::string& host);

/// A certificate for `names` (first = CN; DNS names or IP addresses) made in memory: ECDSA P-256,
/// self-signed, valid 30 days. For `holdfast demo`.
[[nodiscard]] Result<config::Certificate> make_self_signed(const std::vector<std::string>& names);

}  // namespace holdfast::net
