// Bytes in front of a connection against the reader of PROXY headers. What is understood must survive being
// written in version 2 and read again, and no byte behind the header may be taken.
#include "holdfast/net/proxy_header.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

namespace net = holdfast::net;

// The message of a broken invariant is the crash itself.
void require(bool holds) {
  if (!holds) std::abort();
}

void check_again(const net::ProxyHeader& header) {
  const std::string written = net::build_proxy_header(header, holdfast::config::ProxyVersion::v2);
  if (written.size() > net::longest_proxy_header) return;
  const auto again = net::parse_proxy_header(written);
  require(again.has_value());
  if (!header.is_told()) return require(!again.value().is_told());
  require(again.value().source == header.source && again.value().destination == header.destination);
  require(again.value().authority == header.authority && again.value().over_tls == header.over_tls);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view stream(reinterpret_cast<const char*>(data), size);
  std::size_t taken = 0;
  for (;;) {
    const auto missing = net::proxy_header_missing(stream.substr(0, taken));
    if (!missing.has_value()) return 0;
    if (missing.value() == 0) break;
    if (missing.value() > size - taken) return 0;
    taken += missing.value();
    require(taken <= net::longest_proxy_header);
  }
  const auto header = net::parse_proxy_header(stream.substr(0, taken));
  if (!header.has_value()) return 0;
  require(net::proxy_header_missing(stream.substr(0, taken - 1)).has_value());
  check_again(header.value());
  return 0;
}
