#include "holdfast/net/sources.hpp"

#include <doctest/doctest.h>
#include <netinet/in.h>

#include <set>
#include <string>

#include "config/socket_address.hpp"

namespace holdfast::net {
namespace {

config::SocketAddress address_of(const std::string& host, std::uint16_t port = 0) {
  return config::numeric_socket(host, port).value();
}

// A listening socket of this machine and its address.
struct Peer {
  Socket listener = std::move(listen_on(address_of("127.0.0.1"), Sharing::exclusive).value());
  config::SocketAddress address = local_address(listener);
};

std::string source_of(const Result<Socket>& made) {
  REQUIRE(made.has_value());
  return host_text(local_address(made.value()));
}

TEST_CASE("sources of the peer's family take turns") {
  const Peer peer;
  const Sources sources({address_of("127.0.0.2"), address_of("::1"), address_of("127.0.0.3")});
  std::multiset<std::string> seen;
  for (int n = 0; n < 6; ++n) seen.insert(source_of(sources.start_connect(peer.address)));
  CHECK(seen.count("127.0.0.2") == 3);
  CHECK(seen.count("127.0.0.3") == 3);
}

TEST_CASE("without a source of its family a peer is reached from where the kernel says") {
  const Peer peer;
  CHECK(source_of(Sources({address_of("::1")}).start_connect(peer.address)) == "127.0.0.1");
}

TEST_CASE("a source that this machine does not have is our shortage, and the next one's turn") {
  const Peer peer;
  const Result<Socket> failed = Sources({address_of("198.51.100.1")}).start_connect(peer.address);
  REQUIRE_FALSE(failed.has_value());
  CHECK(failed.error().failure == Failure::internal);
  CHECK(failed.error().side == Side::us);
  CHECK(failed.error().what.find("from 198.51.100.1: ") != std::string::npos);
  const Sources mixed({address_of("198.51.100.1"), address_of("198.51.100.2"), address_of("127.0.0.2")});
  for (int n = 0; n < 3; ++n) CHECK(source_of(mixed.start_connect(peer.address)) == "127.0.0.2");
}

TEST_CASE("a source that can't reach such a peer is not the peer's failure") {
  const Result<Socket> failed =
      Sources({address_of("127.0.0.2")}).start_connect(address_of("198.51.100.1", 80));
  REQUIRE_FALSE(failed.has_value());
  if (failed.error().what.find("unreachable") == std::string::npos) {
    CHECK(failed.error().side == Side::us);
  } else {
    MESSAGE("skipped: this machine has no way to other networks");
  }
}

TEST_CASE("the port of a bound connection is chosen for its peer, not for the source") {
  const Peer peer;
  const Result<Socket> made = Sources({address_of("127.0.0.2")}).start_connect(peer.address);
  REQUIRE(made.has_value());
  int late = 0;
  socklen_t length = sizeof late;
  REQUIRE(getsockopt(made.value().get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &late, &length) == 0);
  CHECK(late == 1);
}

TEST_CASE("a refused connection is the peer's, whatever the source") {
  config::SocketAddress nobody;
  {
    const Peer gone;
    nobody = gone.address;
  }
  const Result<Socket> made =
      Sources({address_of("127.0.0.2"), address_of("127.0.0.3")}).start_connect(nobody);
  // The loopback refuses in connect() or a moment later.
  if (!made) CHECK(made.error().side == Side::backend);
  if (made) CHECK(connect_outcome(made.value().get(), nobody) == ECONNREFUSED);
}

}  // namespace
}  // namespace holdfast::net
