#include "config/source.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <optional>
#include <string>

#include "config/socket_address.hpp"

namespace holdfast::config {
namespace {

constexpr std::size_t most_sources = 64;

const in6_addr& bytes_of(const SocketAddress& v6) {
  return reinterpret_cast<const sockaddr_in6*>(v6.get())->sin6_addr;
}

// What bind() would take, but no connection can come from.
bool is_nobodys(const SocketAddress& address) {
  if (address.family() == AF_INET) {
    const in_addr_t host = ntohl(reinterpret_cast<const sockaddr_in*>(address.get())->sin_addr.s_addr);
    return host == INADDR_ANY || host == INADDR_BROADCAST || IN_MULTICAST(host);
  }
  const in6_addr& host = bytes_of(address);
  return IN6_IS_ADDR_UNSPECIFIED(&host) || IN6_IS_ADDR_MULTICAST(&host);
}

std::string check_source(const std::string& text, const std::optional<SocketAddress>& parsed) {
  if (!parsed) return "must be an IP address of this machine, without a port";
  if (is_nobodys(*parsed)) return "must be one machine's address";
  if (parsed->family() == AF_INET) return {};
  const in6_addr& host = bytes_of(*parsed);
  if (IN6_IS_ADDR_LINKLOCAL(&host)) return "must not be link-local: that needs an interface";
  if (IN6_IS_ADDR_V4MAPPED(&host))
    return "must be written as an IPv4 address, " + text.substr(text.rfind(':') + 1);
  return {};
}

bool has_family(const std::vector<SocketAddress>& addresses, int family) {
  return std::ranges::any_of(addresses,
                             [&](const SocketAddress& address) { return address.family() == family; });
}

}  // namespace

void describe_source(Visitor& v, std::vector<SocketAddress>& source) {
  std::vector<std::string> texts;
  v.texts({"source"}, texts, {0, most_sources}, [&](const std::string& text) {
    const auto parsed =
        text.find('\0') == std::string::npos ? numeric_socket(text, 0) : std::optional<SocketAddress>();
    std::string why = check_source(text, parsed);
    if (why.empty() && std::ranges::find(source, *parsed) != source.end()) why = "must not be there twice";
    if (why.empty()) source.push_back(*parsed);
    return why;
  });
}

void check_sources(const Config& config, Problems& problems) {
  for (std::size_t n = 0; n < config.upstreams.size(); ++n) {
    const Upstream& upstream = config.upstreams[n];
    if (upstream.source.empty()) continue;
    const std::string place = "upstreams[" + std::to_string(n) + "].source";
    for (const BackendConfig& backend : upstream.backends) {
      const auto unserved = std::ranges::find_if(backend.address.sockets, [&](const SocketAddress& each) {
        return !has_family(upstream.source, each.family());
      });
      if (unserved == backend.address.sockets.end()) continue;
      if (unserved->family() == AF_UNIX) continue;
      problems.warning(place, std::string("has no IPv") + (unserved->family() == AF_INET6 ? "6" : "4") +
                                  " address for backend " + quote(backend.address.text) +
                                  ": the kernel chooses");
      break;
    }
  }
}

}  // namespace holdfast::config
