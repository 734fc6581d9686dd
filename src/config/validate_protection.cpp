// Limits that mean nothing, or not what they seem to. They are warnings: nothing is less safe by them.

#include <algorithm>

#include "config/validate.hpp"

namespace holdfast::config {
namespace {

void needs(bool is_set, bool has_what_it_needs, const std::string& place, const char* what,
           Problems& problems) {
  if (is_set && !has_what_it_needs) problems.warning(place, std::string("means nothing without ") + what);
}

// A block that is in both lists is denied, which one of the two lines did not mean.
void check_access(const Access& access, const std::string& place, Problems& problems) {
  for (std::size_t n = 0; n < access.allow.size(); ++n) {
    if (std::find(access.deny.begin(), access.deny.end(), access.allow[n]) == access.deny.end()) continue;
    problems.warning(place + ".allow[" + std::to_string(n) + "]", "is in deny, too, which goes first");
  }
}

void check_listener(const Listener& listener, const std::string& place, Problems& problems) {
  const ListenerProtection& limits = listener.protection;
  needs(limits.handshake_burst != 0, limits.max_handshakes_per_second != 0, place + ".handshake_burst",
        "max_handshakes_per_second", problems);
  needs(limits.handshake_burst_per_ip != 0, limits.max_handshakes_per_second_per_ip != 0,
        place + ".handshake_burst_per_ip", "max_handshakes_per_second_per_ip", problems);
  check_access(limits.access, place, problems);
  const bool by_address = limits.max_sessions_per_ip != 0 || limits.max_handshakes_per_second_per_ip != 0 ||
                          !limits.access.is_open();
  if (!by_address || listener.proxy_protocol == Listener::ProxyHeader::required) return;
  if (listener.bind.kind == AddressKind::unix_path)
    problems.warning(place,
                     "has limits by address, but clients of a unix socket have none without "
                     "proxy_protocol: they mean nothing");
  else if (!listener.trusted_peers.empty())
    problems.warning(place,
                     "has limits by address and trusted_peers without proxy_protocol: clients that come "
                     "through one of these proxies count as the proxy");
}

void check_route(const Route& route, const std::string& place, Problems& problems) {
  const RouteProtection& limits = route.protection;
  const bool some_rate = limits.max_messages_per_second != 0 || limits.max_bytes_per_second != 0;
  needs(limits.message_burst != 0, limits.max_messages_per_second != 0, place + ".message_burst",
        "max_messages_per_second", problems);
  needs(limits.byte_burst != 0, limits.max_bytes_per_second != 0, place + ".byte_burst",
        "max_bytes_per_second", problems);
  needs(limits.rate_mode != RateMode::pause, some_rate, place + ".rate_mode",
        "max_messages_per_second or max_bytes_per_second", problems);
  check_access(limits.access, place, problems);
}

}  // namespace

void validate_protection(const Config& config, Problems& problems) {
  for (std::size_t n = 0; n < config.listeners.size(); ++n)
    check_listener(config.listeners[n], "listeners[" + std::to_string(n) + "]", problems);
  for (std::size_t n = 0; n < config.routes.size(); ++n)
    check_route(config.routes[n], "routes[" + std::to_string(n) + "]", problems);
}

}  // namespace holdfast::config
