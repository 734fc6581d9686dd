#include "holdfast/net/proxy_header.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "config/socket_address.hpp"

namespace holdfast::net {

namespace {

constexpr std::string_view signature_v2{"\r\n\r\n\0\r\nQUIT\n", 12};
constexpr std::string_view signature_v1 = "PROXY ";
constexpr std::string_view line_end = "\r\n";
constexpr std::size_t longest_v1 = 107;
constexpr std::size_t fixed_v2 = 16;  // signature, version and command, family, length

// Of version 2: low half of byte 12, byte 13, types of extensions.
constexpr unsigned version_2 = 0x20;
constexpr unsigned command_proxy = 1;
constexpr unsigned tcp_over_v4 = 0x11;
constexpr unsigned tcp_over_v6 = 0x21;
constexpr unsigned type_authority = 0x02;
constexpr unsigned type_tls = 0x20;
constexpr unsigned type_tls_version = 0x21;
constexpr unsigned type_common_name = 0x22;
constexpr unsigned client_used_tls = 0x01;
constexpr unsigned client_had_certificate = 0x02;
constexpr std::size_t tls_fixed = 5;  // client bits and the verification's outcome

Error bad(std::string what) {
  return {Failure::garbage, Side::client, Retry::no, "PROXY header: " + std::move(what)};
}

bool begins_alike(std::string_view a, std::string_view b) {
  const std::size_t both = std::min(a.size(), b.size());
  return a.substr(0, both) == b.substr(0, both);
}

unsigned byte_at(std::string_view text, std::size_t place) {
  return static_cast<unsigned char>(text[place]);
}

std::size_t two_bytes_at(std::string_view text, std::size_t place) {
  return byte_at(text, place) << 8U | byte_at(text, place + 1);
}

void append_two_bytes(std::string& out, std::size_t value) {
  out += static_cast<char>(value >> 8U & 0xffU);
  out += static_cast<char>(value & 0xffU);
}

// Each of the fields "TCP4 SOURCE DESTINATION SOURCE_PORT DESTINATION_PORT"; nothing if there are more or
// less.
std::optional<std::array<std::string_view, 5>> five_fields(std::string_view line) {
  std::array<std::string_view, 5> fields;
  for (std::size_t n = 0; n < fields.size(); ++n) {
    const std::size_t end = line.find(' ');
    if ((end == std::string_view::npos) != (n + 1 == fields.size())) return std::nullopt;
    fields[n] = line.substr(0, end);
    line.remove_prefix(std::min(line.size(), fields[n].size() + 1));
  }
  return fields;
}

std::optional<std::uint16_t> port_of(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return port;
}

std::optional<config::SocketAddress> address_of(bool is_v6, std::string_view host, std::string_view port) {
  const auto number = port_of(port);
  if (!number) return std::nullopt;
  auto address = config::numeric_socket(std::string(host), *number);
  if (address && (address->family() == AF_INET6) != is_v6) return std::nullopt;
  return address;
}

Result<std::size_t> missing_of_line(std::string_view so_far) {
  if (so_far.ends_with(line_end)) return std::size_t{0};
  const std::size_t room = longest_v1 - std::min(longest_v1, so_far.size());
  if (room == 0) return bad("no end of the line within 107 bytes");
  if (so_far.ends_with('\r')) return std::size_t{1};
  // Each field that has not begun needs a space and a character, but "UNKNOWN" may be the last one.
  const auto spaces = static_cast<std::size_t>(std::ranges::count(so_far, ' '));
  const bool is_tcp = so_far.size() > signature_v1.size() && so_far[signature_v1.size()] == 'T';
  const std::size_t fields = is_tcp && spaces < 5 ? 2 * (5 - spaces) : 0;
  return std::min(room, fields + line_end.size());
}

Result<ProxyHeader> parse_line(std::string_view whole) {
  const std::string_view line =
      whole.substr(signature_v1.size(), whole.size() - signature_v1.size() - line_end.size());
  if (line == "UNKNOWN" || line.starts_with("UNKNOWN ")) return ProxyHeader{};
  const auto fields = five_fields(line);
  if (!fields || ((*fields)[0] != "TCP4" && (*fields)[0] != "TCP6"))
    return bad("must be \"TCP4\" or \"TCP6\" with two addresses and two ports, or \"UNKNOWN\"");
  const bool is_v6 = (*fields)[0] == "TCP6";
  const auto source = address_of(is_v6, (*fields)[1], (*fields)[3]);
  const auto destination = address_of(is_v6, (*fields)[2], (*fields)[4]);
  if (!source || !destination) return bad("an address or a port is none");
  ProxyHeader header;
  header.source = *source;
  header.destination = *destination;
  return header;
}

// Calls `take(type, value)` for each extension; false if one does not fit.
template <class Take>
bool each_extension(std::string_view rest, Take take) {
  while (!rest.empty()) {
    if (rest.size() < 3) return false;
    const std::size_t size = two_bytes_at(rest, 1);
    if (rest.size() < 3 + size) return false;
    if (!take(byte_at(rest, 0), rest.substr(3, size))) return false;
    rest.remove_prefix(3 + size);
  }
  return true;
}

bool take_tls(ProxyHeader& header, std::string_view value) {
  if (value.size() < tls_fixed) return false;
  header.over_tls = (byte_at(value, 0) & client_used_tls) != 0;
  return each_extension(value.substr(tls_fixed), [&](unsigned type, std::string_view part) {
    if (type == type_tls_version) header.tls_version = part;
    if (type == type_common_name) header.common_name = part;
    return true;
  });
}

Result<ProxyHeader> parse_binary(std::string_view whole) {
  ProxyHeader header;
  if ((byte_at(whole, 12) & 0x0fU) != command_proxy) return header;
  const unsigned family = byte_at(whole, 13);
  if (family != tcp_over_v4 && family != tcp_over_v6) return header;  // unix sockets, UDP: nothing for us
  std::string_view rest = whole.substr(fixed_v2);
  const std::size_t address_bytes = family == tcp_over_v6 ? sizeof(in6_addr) : sizeof(in_addr);
  if (rest.size() < 2 * address_bytes + 4) return bad("too short for its addresses");
  const auto end = [&](std::size_t number) {
    const auto port = static_cast<std::uint16_t>(two_bytes_at(rest, 2 * address_bytes + 2 * number));
    return config::ip_socket(family == tcp_over_v6 ? AF_INET6 : AF_INET, rest.data() + number * address_bytes,
                             port);
  };
  header.source = end(0);
  header.destination = end(1);
  rest.remove_prefix(2 * address_bytes + 4);
  const bool fits = each_extension(rest, [&](unsigned type, std::string_view value) {
    if (type == type_authority) header.authority = value;
    return type != type_tls || take_tls(header, value);
  });
  if (!fits) return bad("an extension does not fit");
  return header;
}

bool same_family(const ProxyHeader& header) {
  const int family = header.source.family();
  return header.is_told() && (family == AF_INET || family == AF_INET6) && header.destination.length != 0 &&
         header.destination.family() == family;
}

const sockaddr_in& four_of(const config::SocketAddress& address) {
  return *reinterpret_cast<const sockaddr_in*>(address.get());
}
const sockaddr_in6& six_of(const config::SocketAddress& address) {
  return *reinterpret_cast<const sockaddr_in6*>(address.get());
}

std::string host_of(const config::SocketAddress& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const void* host = address.family() == AF_INET6 ? static_cast<const void*>(&six_of(address).sin6_addr)
                                                  : static_cast<const void*>(&four_of(address).sin_addr);
  inet_ntop(address.family(), host, text.data(), text.size());
  return text.data();
}

// sin_port and sin6_port lie at the same place.
std::uint16_t port_of(const config::SocketAddress& address) {
  return ntohs(four_of(address).sin_port);
}

void append_address(std::string& out, const config::SocketAddress& address) {
  if (address.family() == AF_INET6) {
    out.append(reinterpret_cast<const char*>(&six_of(address).sin6_addr), sizeof(in6_addr));
  } else {
    out.append(reinterpret_cast<const char*>(&four_of(address).sin_addr), sizeof(in_addr));
  }
}

void append_extension(std::string& out, unsigned type, std::string_view value) {
  if (value.empty()) return;
  out += static_cast<char>(type);
  append_two_bytes(out, value.size());
  out += value;
}

std::string tls_extension(const ProxyHeader& header) {
  if (!header.over_tls) return {};
  const bool certified = !header.common_name.empty();
  std::string value(1, static_cast<char>(client_used_tls | (certified ? client_had_certificate : 0U)));
  value.append(4, '\0');  // the client's certificate was verified, or there is none
  append_extension(value, type_tls_version, header.tls_version);
  append_extension(value, type_common_name, header.common_name);
  return value;
}

std::string build_line(const ProxyHeader& header) {
  if (!same_family(header)) return "PROXY UNKNOWN\r\n";
  return std::string("PROXY ") + (header.source.family() == AF_INET6 ? "TCP6 " : "TCP4 ") +
         host_of(header.source) + " " + host_of(header.destination) + " " +
         std::to_string(port_of(header.source)) + " " + std::to_string(port_of(header.destination)) + "\r\n";
}

std::string build_binary(const ProxyHeader& header) {
  std::string body;
  const bool told = same_family(header);
  const bool is_v6 = told && header.source.family() == AF_INET6;
  if (told) {
    append_address(body, header.source);
    append_address(body, header.destination);
    append_two_bytes(body, port_of(header.source));
    append_two_bytes(body, port_of(header.destination));
    append_extension(body, type_authority, header.authority);
    append_extension(body, type_tls, tls_extension(header));
  }
  std::string out(signature_v2);
  out += static_cast<char>(version_2 | (told ? command_proxy : 0U));
  out += static_cast<char>(told ? (is_v6 ? tcp_over_v6 : tcp_over_v4) : 0U);
  append_two_bytes(out, body.size());
  return out + body;
}

}  // namespace

Result<std::size_t> proxy_header_missing(std::string_view so_far) {
  const bool may_be_v2 = begins_alike(so_far, signature_v2);
  if (!may_be_v2 && !begins_alike(so_far, signature_v1)) return bad("there is none");
  // The shortest one of version 1 has 15 bytes.
  if (so_far.size() < signature_v2.size()) return signature_v2.size() - so_far.size();
  if (!may_be_v2) return missing_of_line(so_far);
  if (so_far.size() < fixed_v2) return fixed_v2 - so_far.size();
  if ((byte_at(so_far, 12) & 0xf0U) != version_2 || (byte_at(so_far, 12) & 0x0fU) > command_proxy)
    return bad("neither version 2 nor one of its commands");
  const std::size_t whole = fixed_v2 + two_bytes_at(so_far, 14);
  if (whole > longest_proxy_header) return bad("longer than 4 KiB");
  return whole - std::min(whole, so_far.size());
}

Result<ProxyHeader> parse_proxy_header(std::string_view whole) {
  const auto missing = proxy_header_missing(whole);
  if (!missing) return missing.error();
  if (missing.value() != 0) return bad("incomplete");
  return begins_alike(whole, signature_v2) ? parse_binary(whole) : parse_line(whole);
}

std::string build_proxy_header(const ProxyHeader& header, config::ProxyVersion version) {
  switch (version) {
    case config::ProxyVersion::off:
      break;
    case config::ProxyVersion::v1:
      return build_line(header);
    case config::ProxyVersion::v2:
      return build_binary(header);
  }
  return {};
}

}  // namespace holdfast::net
