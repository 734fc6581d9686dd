// Connected TCP pairs over loopback, and the test's own end of one.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "holdfast/base/clock.hpp"
#include "holdfast/net/socket.hpp"
#include "holdfast/net/tls.hpp"

namespace holdfast::net::test {

/// Long enough for any loaded machine; nobody waits for it but a failing test.
inline constexpr std::chrono::seconds patience{30};

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

inline void make_nonblocking(int descriptor) {
  fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
}

/// Kernel buffers of both directions in bytes (the kernel doubles them and has a minimum); 0 = its default.
inline void set_buffers(const Socket& socket, int bytes) {
  if (bytes == 0) return;
  setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

inline config::SocketAddress loopback(std::uint16_t port = 0) {
  std::string why;
  return config::parse_address("127.0.0.1:" + std::to_string(port), config::AddressUse::bind, why)
      .value()
      .sockets.front();
}

struct Pair {
  Socket ours;
  Socket theirs;
};

inline Pair tcp_pair(int our_buffers = 0, int their_buffers = 0) {
  const Socket listener = listen_on(loopback(), Sharing::exclusive).value();
  set_buffers(listener, our_buffers);  // an accepted socket inherits them
  Socket theirs(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  set_buffers(theirs, their_buffers);
  const config::SocketAddress address = local_address(listener);
  REQUIRE(connect(theirs.get(), address.get(), address.length) == 0);
  pollfd wait{listener.get(), POLLIN, 0};
  REQUIRE(poll(&wait, 1, 30'000) == 1);
  Socket ours(accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  REQUIRE(static_cast<bool>(ours));
  make_nonblocking(theirs.get());
  set_no_delay(ours);
  set_no_delay(theirs);
  return {std::move(ours), std::move(theirs)};
}

/// Two non-blocking legs of this very thread.
inline void shake_hands(TlsLeg& one, TlsLeg& other) {
  const TimePoint deadline = Clock::now() + patience;
  HandshakeStep a = HandshakeStep::want_read;
  HandshakeStep b = HandshakeStep::want_read;
  while (a != HandshakeStep::done || b != HandshakeStep::done) {
    if (a != HandshakeStep::done) a = one.handshake();
    if (b != HandshakeStep::done) b = other.handshake();
    REQUIRE(a != HandshakeStep::failed);
    REQUIRE(b != HandshakeStep::failed);
    REQUIRE(Clock::now() < deadline);
  }
}

/// One certificate and both contexts, made once a process: making them is what costs.
struct Identity {
  config::Certificate certificate = make_self_signed({"localhost"}).value();
  TicketKeys tickets;
  std::shared_ptr<const TlsServer> server =
      TlsServer::create({{certificate}, config::TlsVersion::v1_2, {}}, "test", tickets).value();
  std::shared_ptr<const TlsClient> client =
      TlsClient::create({config::UpstreamTls::Verify::yes, {"", certificate.chain.pem}, "localhost", {}})
          .value();
};
inline const Identity& identity() {
  static const Identity made;
  return made;
}

/// The test's end of a leg: every call waits, with a deadline that only a failing test meets.
class Peer {
 public:
  Peer(std::unique_ptr<Leg> leg, int descriptor) : leg_(std::move(leg)), descriptor_(descriptor) {}

  /// Sends what goes now.
  std::size_t send_some(std::string_view bytes) {
    const IoResult sent = leg_->write(bytes_of(bytes));
    REQUIRE(sent.state != IoState::failed);
    return sent.bytes;
  }
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const std::size_t sent = send_some(bytes);
      bytes.remove_prefix(sent);
      if (!bytes.empty() && sent == 0) REQUIRE(wait(POLLOUT, patience));
    }
  }
  /// Up to `most` bytes of what is there now; notes the end.
  std::string read_now(std::size_t most = 64 * 1024) {
    std::string bytes(most, '\0');
    const IoResult got = leg_->read(std::as_writable_bytes(std::span(bytes)));
    if (got.state == IoState::end || got.state == IoState::failed) {
      ended_ = true;
      reset_ = got.state == IoState::failed;
    }
    bytes.resize(got.bytes);
    return bytes;
  }
  /// At least one byte, or "" at the end of the connection.
  std::string read_some(std::size_t most = 64 * 1024) {
    for (;;) {
      std::string bytes = read_now(most);
      if (!bytes.empty() || ended_) return bytes;
      REQUIRE(wait(POLLIN, patience));
    }
  }
  std::string read_to_end() {
    std::string all;
    while (!ended_) all += read_some();
    return all;
  }

  [[nodiscard]] bool wait(short events, std::chrono::milliseconds longest) const {
    pollfd entry{descriptor_, events, 0};
    return poll(&entry, 1, static_cast<int>(longest.count())) > 0;
  }
  void finish() { leg_->finish_writing(); }
  void close() { leg_.reset(); }
  /// RST instead of FIN.
  void abort() {
    const linger hard{1, 0};
    setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    leg_.reset();
  }
  [[nodiscard]] bool ended() const noexcept { return ended_; }
  [[nodiscard]] bool was_reset() const noexcept { return reset_; }
  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }

 private:
  std::unique_ptr<Leg> leg_;
  int descriptor_;
  bool ended_ = false;
  bool reset_ = false;
};

}  // namespace holdfast::net::test
