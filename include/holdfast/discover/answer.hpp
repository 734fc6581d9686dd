#pragma once
// What a name server's answer says (RFC 1035; SRV: RFC 2782). Sans-io; any thread.

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "holdfast/base/error.hpp"
#include "holdfast/config/config.hpp"

namespace holdfast::discover {

/// One SRV record.
struct Service {
  std::string target;
  std::uint16_t port = 0;
  std::uint16_t priority = 0;  ///< the lowest first
  std::uint16_t weight = 0;

  bool operator==(const Service&) const = default;
};

struct Answer {
  std::vector<config::SocketAddress> addresses;  ///< of A and AAAA records, with port 0
  std::vector<Service> services;                 ///< of SRV records
  std::chrono::seconds ttl{0};                   ///< the shortest of them all
};

/// Most records that are taken from one answer; the rest is left.
inline constexpr std::size_t most_records = 4096;

/// `message` as it came. Garbage is an Error; an answer without such records is empty.
[[nodiscard]] Result<Answer> parse_answer(std::span<const unsigned char> message);

/// Services as backends: `addresses` holds the addresses of each one, in the same order. Weights up to 65535
/// become 1 to 256, within their priority. The lowest priority that has an address makes primaries, all
/// others are backups.
[[nodiscard]] std::vector<config::BackendConfig> backends_of(
    const std::vector<Service>& services, const std::vector<std::vector<config::SocketAddress>>& addresses);

/// Addresses with one port as backends, sorted, each once.
[[nodiscard]] std::vector<config::BackendConfig> backends_of(
    const std::vector<config::SocketAddress>& addresses, std::uint16_t port);

}  // namespace holdfast::discover
