#include "holdfast/config/address.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "config/socket_address.hpp"

namespace holdfast::config {
namespace {

constexpr const char* allowed_in_bind =
    "must be HOST:PORT, [V6]:PORT, *:PORT, unix:PATH or fd:NAME with a port from 0 to 65535";
constexpr const char* allowed_for_backend =
    "must be HOST:PORT, [V6]:PORT or unix:PATH with a port from 1 to 65535";

bool is_host_character(char c) {
  const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return letter || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

bool is_name_character(char c) {
  return c > ' ' && c < 0x7f && c != ':';
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, port);
  if (error != std::errc{} || rest != end) return std::nullopt;
  return port;
}

template <class Sockaddr>
SocketAddress wrap(const Sockaddr& address, std::size_t length = sizeof(Sockaddr)) {
  SocketAddress out;
  std::memcpy(&out.storage, &address, sizeof(Sockaddr));
  out.length = static_cast<socklen_t>(length);
  return out;
}

// Splits "host:port" and "[v6]:port"; false if it is neither.
bool split(std::string_view text, Address& out, AddressUse use) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return false;
  const auto port = parse_port(text.substr(colon + 1));
  if (!port || (*port == 0 && use == AddressUse::backend)) return false;
  out.port = *port;
  std::string_view host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    out.host = host.substr(1, host.size() - 2);
    const auto numeric = numeric_socket(out.host, out.port);
    return numeric && numeric->family() == AF_INET6;
  }
  if (host == "*" && use == AddressUse::bind) host = "0.0.0.0";
  const bool plain =
      !host.empty() && host.size() <= 253 && std::all_of(host.begin(), host.end(), is_host_character);
  out.host = host;
  return plain;
}

}  // namespace

SocketAddress ip_socket(int family, const void* host, std::uint16_t port) noexcept {
  if (family == AF_INET) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, host, sizeof v4.sin_addr);
    return wrap(v4);
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  std::memcpy(&v6.sin6_addr, host, sizeof v6.sin6_addr);
  return wrap(v6);
}

std::optional<SocketAddress> numeric_socket(const std::string& host, std::uint16_t port) {
  in6_addr bytes{};  // large enough for both
  for (const int family : {AF_INET, AF_INET6}) {
    if (inet_pton(family, host.c_str(), &bytes) == 1) return ip_socket(family, &bytes, port);
  }
  return std::nullopt;
}

std::optional<SocketAddress> unix_socket(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // One byte stays for the terminating zero.
  if (path.empty() || path.size() >= sizeof address.sun_path) return std::nullopt;
  std::memcpy(address.sun_path, path.data(), path.size());
  return wrap(address, offsetof(sockaddr_un, sun_path) + path.size() + 1);
}

SocketAddress with_port(SocketAddress address, std::uint16_t port) noexcept {
  // sin_port and sin6_port are the same two bytes.
  static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
  const std::uint16_t in_network_order = htons(port);
  const bool has_port = address.family() == AF_INET || address.family() == AF_INET6;
  if (!has_port) return address;
  std::memcpy(reinterpret_cast<char*>(&address.storage) + offsetof(sockaddr_in, sin_port), &in_network_order,
              sizeof in_network_order);
  return address;
}

bool SocketAddress::operator==(const SocketAddress& other) const noexcept {
  return length == other.length && std::memcmp(&storage, &other.storage, length) == 0;
}

bool Address::operator==(const Address& other) const {
  return kind == other.kind && text == other.text && path == other.path &&
         std::is_permutation(sockets.begin(), sockets.end(), other.sockets.begin(), other.sockets.end());
}

std::optional<Address> parse_address(std::string_view text, AddressUse use, std::string& why) {
  Address out;
  out.text = text;
  why = use == AddressUse::bind ? allowed_in_bind : allowed_for_backend;
  if (text.substr(0, 5) == "unix:") {
    out.kind = AddressKind::unix_path;
    out.path = text.substr(5);
    // The length is checked when the path is absolute.
    if (out.path.empty()) return std::nullopt;
    if (const auto socket = unix_socket(out.path)) out.sockets.push_back(*socket);
  } else if (text.substr(0, 3) == "fd:" && use == AddressUse::bind) {
    out.kind = AddressKind::passed;
    out.path = text.substr(3);
    const bool good = !out.path.empty() && std::all_of(out.path.begin(), out.path.end(), is_name_character);
    if (!good) return std::nullopt;
  } else {
    if (!split(text, out, use)) return std::nullopt;
    if (const auto socket = numeric_socket(out.host, out.port)) out.sockets.push_back(*socket);
  }
  why.clear();
  return out;
}

bool is_loopback(const Address& address) {
  if (address.kind != AddressKind::tcp) return true;
  const auto is_local = [](const SocketAddress& socket) {
    if (socket.family() == AF_INET) {
      sockaddr_in v4{};
      std::memcpy(&v4, &socket.storage, sizeof v4);
      return (ntohl(v4.sin_addr.s_addr) >> 24U) == 127;
    }
    sockaddr_in6 v6{};
    std::memcpy(&v6, &socket.storage, sizeof v6);
    return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr) != 0;
  };
  return !address.sockets.empty() && std::all_of(address.sockets.begin(), address.sockets.end(), is_local);
}

}  // namespace holdfast::config
