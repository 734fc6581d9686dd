#include "holdfast/config/config.hpp"

#include "config/words.hpp"

namespace holdfast::config {

std::string_view to_string(TlsVersion value) noexcept {
  return tls_version_words[static_cast<std::size_t>(value)];
}
std::string_view to_string(PolicyKind value) noexcept {
  return policy_words[static_cast<std::size_t>(value)];
}
std::string_view to_string(DnsRecord value) noexcept {
  return dns_record_words[static_cast<std::size_t>(value)];
}

std::string_view to_string(ProxyVersion value) noexcept {
  return proxy_version_words[static_cast<std::size_t>(value)];
}

std::string_view to_string(LogLevel value) noexcept {
  return log_level_words[static_cast<std::size_t>(value)];
}
std::string_view to_string(LogFormat value) noexcept {
  return log_format_words[static_cast<std::size_t>(value)];
}

std::string_view to_string(HoldUnit value) noexcept {
  return hold_unit_words[static_cast<std::size_t>(value)];
}
std::string_view to_string(Compression value) noexcept {
  return compression_words[static_cast<std::size_t>(value)];
}
std::string_view to_string(MoveOrder value) noexcept {
  return move_order_words[static_cast<std::size_t>(value)];
}

std::string_view to_string(SameSite value) noexcept {
  return same_site_words[static_cast<std::size_t>(value)];
}

const Upstream* Config::find_upstream(std::string_view name) const noexcept {
  for (const Upstream& upstream : upstreams) {
    if (upstream.name == name) return &upstream;
  }
  return nullptr;
}

}  // namespace holdfast::config
