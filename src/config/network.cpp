#include <arpa/inet.h>
#include <netinet/in.h>

#include <charconv>
#include <cstring>

#include "holdfast/config/address.hpp"

namespace holdfast::config {
namespace {

constexpr const char* allowed =
    "must be an address block such as \"10.0.0.0/8\" or \"fd00::/8\" with no bits behind the prefix";

// Clears the bits behind `prefix` in one of the 16 bytes.
std::uint8_t masked(std::uint8_t byte, std::size_t index, unsigned prefix) {
  const std::size_t first_bit = index * 8;
  if (prefix >= first_bit + 8) return byte;
  if (prefix <= first_bit) return 0;
  const auto kept = static_cast<unsigned>(prefix - first_bit);
  return static_cast<std::uint8_t>(byte & (0xFFU << (8U - kept)));
}

}  // namespace

std::optional<Network> parse_network(std::string_view text, std::string& why) {
  why = allowed;
  const std::size_t slash = text.find('/');
  const std::string host(text.substr(0, slash));
  Network out;
  if (host.find('\0') != std::string::npos) return std::nullopt;
  if (inet_pton(AF_INET, host.c_str(), out.bytes.data()) == 1) {
    out.family = AF_INET;
  } else if (inet_pton(AF_INET6, host.c_str(), out.bytes.data()) == 1) {
    out.family = AF_INET6;
  } else {
    return std::nullopt;
  }
  const std::uint8_t longest = out.family == AF_INET ? 32 : 128;
  out.prefix = longest;
  if (slash != std::string_view::npos) {
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data() + slash + 1, end, out.prefix);
    if (error != std::errc{} || rest != end || out.prefix > longest) return std::nullopt;
  }
  // Host bits are a sign of a mistyped block: nginx and HAProxy ignore them, we ask.
  for (std::size_t i = 0; i < out.bytes.size(); ++i) {
    if (masked(out.bytes[i], i, out.prefix) != out.bytes[i]) return std::nullopt;
  }
  why.clear();
  return out;
}

bool Network::contains(const sockaddr* peer) const noexcept {
  std::array<std::uint8_t, 16> other{};
  int other_family = peer->sa_family;
  if (other_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, peer, sizeof v4);
    std::memcpy(other.data(), &v4.sin_addr, sizeof v4.sin_addr);
  } else if (other_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, peer, sizeof v6);
    const bool mapped = IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr) != 0;
    if (mapped) other_family = AF_INET;
    const std::uint8_t* from = v6.sin6_addr.s6_addr + (mapped ? 12 : 0);
    std::memcpy(other.data(), from, mapped ? 4 : 16);
  } else {
    return false;
  }
  if (other_family != family) return false;
  for (std::size_t i = 0; i < other.size(); ++i) {
    if (masked(other[i], i, prefix) != bytes[i]) return false;
  }
  return true;
}

}  // namespace holdfast::config
