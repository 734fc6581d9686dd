#pragma once
// Addresses as an operator writes them, and the socket addresses behind them.
// Pure values: no socket is opened here, any thread may use them.

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::config {

// What the kernel takes in connect() and bind(). `length` is 0 only in a default-made value.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;

  [[nodiscard]] const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
  [[nodiscard]] int family() const noexcept { return storage.ss_family; }
  bool operator==(const SocketAddress& other) const noexcept;
};

enum class AddressKind : std::uint8_t {
  tcp,        // "host:port", "[v6]:port"; in a bind also "*:port"
  unix_path,  // "unix:PATH"
  passed,     // "fd:NAME": a socket handed over by the service manager; only in a bind
};

// The text is the identity (metric label, admin API, reload); the rest is derived from it.
struct Address {
  AddressKind kind = AddressKind::tcp;
  std::string text;                    // exactly as in the file
  std::string host;                    // tcp: without brackets; empty for the others
  std::uint16_t port = 0;              // tcp: 0 only in a bind ("any free port")
  std::string path;                    // unix_path: made absolute by the loader; passed: the NAME
  std::vector<SocketAddress> sockets;  // resolved at load, to be tried in order; empty = did not
                                       // resolve (or `passed`)

  // The order of `sockets` is ignored: name servers rotate it.
  bool operator==(const Address& other) const;
};

enum class AddressUse : std::uint8_t { bind, backend };

// Parses without resolving a name; numeric and unix addresses get their `sockets` at once.
// On failure nothing is returned and `why` says what is allowed.
[[nodiscard]] std::optional<Address> parse_address(std::string_view text, AddressUse use, std::string& why);

// True for 127.0.0.0/8, ::1, unix sockets and passed sockets; false for an unresolved name.
[[nodiscard]] bool is_loopback(const Address& address);

// An address block such as "10.0.0.0/8", "fd00::/8" or a single address.
struct Network {
  int family = 0;                        // AF_INET or AF_INET6
  std::array<std::uint8_t, 16> bytes{};  // network order, host bits zero; v4 uses the first 4
  std::uint8_t prefix = 0;               // 0..32 or 0..128

  bool operator==(const Network&) const = default;
  // An IPv4 peer seen on an IPv6 socket (::ffff:a.b.c.d) is compared as IPv4.
  [[nodiscard]] bool contains(const sockaddr* peer) const noexcept;
};

[[nodiscard]] std::optional<Network> parse_network(std::string_view text, std::string& why);

}  // namespace holdfast::config
