#pragma once
// Backends that are found while the proxy runs: by name in the DNS, or in a file that a script or template
// writes. They are added to those that the configuration lists.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/config/address.hpp"

namespace holdfast::config {

enum class DnsRecord : std::uint8_t { a, aaaa, srv };

struct Discover {
  std::string dns;                // a name; this or `file`
  DnsRecord type = DnsRecord::a;  // "A" | "AAAA" | "SRV"; default "A"
  std::uint16_t port = 0;         // of A and AAAA, required; an SRV record has its own
  std::chrono::milliseconds interval{
      0};  // between two questions; 0 = "ttl" (default): the answer's, 1 s..1 h; else 1 s..24 h
  std::vector<Address> servers;  // name servers by IP address; none = the system's
  std::string file;              // absolute; a JSON list as `backends` is

  bool operator==(const Discover&) const = default;
};

[[nodiscard]] std::string_view to_string(DnsRecord value) noexcept;

}  // namespace holdfast::config
