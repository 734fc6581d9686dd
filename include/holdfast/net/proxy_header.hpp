#pragma once
// The PROXY protocol, versions 1 and 2 (HAProxy's doc/proxy-protocol.txt): what a load balancer writes in
// front of a connection's first byte, so that the next one knows who the client is. Sans-io; any thread.

#include <cstddef>
#include <string>
#include <string_view>

#include "holdfast/base/error.hpp"
#include "holdfast/config/config.hpp"

namespace holdfast::net {

struct ProxyHeader {
  /// Who the client is; length 0 = not told: the sender's own connection (a health check), or a protocol that
  /// it does not know. The other fields are empty then.
  config::SocketAddress source;
  config::SocketAddress destination;  ///< the address that the client connected to
  std::string authority;              ///< the name that it asked for (SNI or Host); empty = not told
  bool over_tls = false;              ///< its connection was; the next two only then
  std::string tls_version;            ///< "TLSv1.3"; empty = not told
  std::string common_name;            ///< of its verified certificate; empty = none

  [[nodiscard]] bool is_told() const noexcept { return source.length != 0; }
};

/// Longest header that is taken: 107 bytes of version 1, 4 KiB of addresses and extensions of version 2.
inline constexpr std::size_t longest_proxy_header = 16 + 4096;

/// How many more bytes belong to the header for sure; 0 = it is complete. Whoever reads no more than that
/// never takes a byte of what follows. An Error when it can't become a header any more.
[[nodiscard]] Result<std::size_t> proxy_header_missing(std::string_view so_far);

/// A complete one.
[[nodiscard]] Result<ProxyHeader> parse_proxy_header(std::string_view whole);

/// Version 1 has no room for more than the addresses, version 2 tells authority and TLS as extensions. Where
/// nothing is told, or an address is no IP address: "UNKNOWN", and "LOCAL" in version 2.
[[nodiscard]] std::string build_proxy_header(const ProxyHeader& header, config::ProxyVersion version);

}  // namespace holdfast::net
