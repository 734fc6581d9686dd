#include "holdfast/net/socket.hpp"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "net/tcp.hpp"

namespace holdfast::net {

namespace {

Error system_error(const char* doing, const config::SocketAddress& address, Failure failure) {
  // Our shortages, not the peer's failure. Ports are counted per peer, so another backend may still be
  // reached.
  const bool no_port = errno == EADDRNOTAVAIL;
  const bool ours = no_port || errno == EMFILE || errno == ENFILE || errno == ENOBUFS;
  return {ours ? Failure::internal : failure, ours ? Side::us : Side::backend,
          ours && !no_port ? Retry::no : Retry::other_backend,
          std::string(doing) + " " + to_text(address) + ": " + std::strerror(errno)};
}

Error source_error(const config::SocketAddress& address, const config::SocketAddress& source) {
  return {Failure::internal, Side::us, Retry::other_backend,
          "connect to " + to_text(address) + " from " + host_text(source) + ": " + std::strerror(errno)};
}

void remove_stale_unix_socket(const config::SocketAddress& address) {
  const auto* local = reinterpret_cast<const sockaddr_un*>(address.get());
  struct stat status {};
  if (local->sun_path[0] == '\0' || stat(local->sun_path, &status) != 0 || !S_ISSOCK(status.st_mode)) return;
  const Socket probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // Only a socket that nobody listens on is stale.
  if (connect(probe.get(), address.get(), address.length) != 0 && errno == ECONNREFUSED)
    unlink(local->sun_path);
}

// As inet_ntop, which goes through printf: this is written three times a session.
std::string v4_text(const in_addr& address) {
  std::array<unsigned char, 4> bytes{};
  std::memcpy(bytes.data(), &address, bytes.size());
  std::array<char, INET_ADDRSTRLEN> text{};
  char* end = text.data();
  for (const unsigned char byte : bytes) {
    if (end != text.data()) *end++ = '.';
    end = std::to_chars(end, text.data() + text.size(), byte).ptr;
  }
  return {text.data(), end};
}

}  // namespace

namespace tcp {

bool would_block(int error) noexcept {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

Liveness liveness(int descriptor) noexcept {
  tcp_info info{};
  socklen_t length = sizeof info;
  if (getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return {};
  int unacknowledged = 0;  // still told after a reset (tried on Linux 6.18)
  if (ioctl(descriptor, SIOCOUTQ, &unacknowledged) != 0) unacknowledged = 0;
  return {info.tcpi_unacked, info.tcpi_last_ack_recv, info.tcpi_probes,
          static_cast<std::uint32_t>(unacknowledged)};
}

IoState discard(int descriptor) noexcept {
  // MSG_TRUNC on TCP throws the bytes away without copying them (tcp(7)); a unix socket copies.
  std::array<std::byte, 4096> thrown_away;
  for (int n = 0; n < 16; ++n) {
    const ssize_t got = recv(descriptor, thrown_away.data(), thrown_away.size(), MSG_TRUNC);
    if (got == 0) return IoState::end;
    if (got < 0) return would_block(errno) ? IoState::drained : IoState::failed;
  }
  return IoState::more;
}

void push(int descriptor) noexcept {
  // On already; on Linux setting it is also the way to push (tcp(7), TCP_CORK).
  const int on = 1;
  (void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void limit_unsent(int descriptor) noexcept {
  constexpr int most_unsent_bytes = 32 * 1024;
  (void)setsockopt(descriptor, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &most_unsent_bytes, sizeof most_unsent_bytes);
}

void abort(int descriptor) noexcept {
  const linger no_time{1, 0};
  (void)setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &no_time, sizeof no_time);
}

}  // namespace tcp

Socket& Socket::operator=(Socket&& other) noexcept {
  if (this != &other) {
    reset();
    descriptor_ = std::exchange(other.descriptor_, -1);
    budget_ = std::exchange(other.budget_, nullptr);
  }
  return *this;
}

void Socket::charge(DescriptorBudget& budget) noexcept {
  if (budget_ == nullptr && descriptor_ >= 0) {
    budget_ = &budget;
    budget.take();
  }
}

void Socket::reset() noexcept {
  if (descriptor_ >= 0) close(descriptor_);
  if (budget_ != nullptr) budget_->give();
  descriptor_ = -1;
  budget_ = nullptr;
}

std::uint64_t raise_descriptor_limit() noexcept {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  if (limit.rlim_cur < limit.rlim_max) {
    rlimit raised{limit.rlim_max, limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  return limit.rlim_cur;
}

Result<Socket> listen_on(const config::SocketAddress& address, Sharing sharing) {
  const auto fail = [&](const char* doing) {
    return Error{Failure::internal, Side::us, Retry::no,
                 std::string(doing) + " " + to_text(address) + ": " + std::strerror(errno)};
  };
  if (address.family() == AF_UNIX) remove_stale_unix_socket(address);
  Socket made(socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!made) return fail("no socket for");
  const int on = 1;
  if (address.family() != AF_UNIX) {
    setsockopt(made.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (sharing == Sharing::reuse_port &&
        setsockopt(made.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) {
      return fail("SO_REUSEPORT for");
    }
  }
  if (bind(made.get(), address.get(), address.length) != 0) return fail("cannot bind");
  if (listen(made.get(), 65535) != 0)
    return fail("cannot listen on");  // the kernel caps it at net.core.somaxconn
  return made;
}

Result<Socket> start_connect(const config::SocketAddress& address, const config::SocketAddress* source) {
  Socket made(socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!made) return system_error("no socket for", address, Failure::internal);
  set_no_delay(made);
  if (source != nullptr) {
    // The port is chosen in connect(), which knows the peer: else each address had one set of ports for all.
    const int on = 1;
    (void)setsockopt(made.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(made.get(), source->get(), source->length) != 0) return source_error(address, *source);
  }
  if (connect(made.get(), address.get(), address.length) == 0 || errno == EINPROGRESS) return made;
  // EINVAL: a source that can't reach such a peer, as 127.0.0.1 can't reach other machines.
  if (source != nullptr && (errno == EINVAL || errno == EADDRNOTAVAIL)) return source_error(address, *source);
  return system_error("connect to", address, Failure::refused);
}

int connect_outcome(int descriptor, const config::SocketAddress& address) noexcept {
  if (connect(descriptor, address.get(), address.length) == 0 || errno == EISCONN) return 0;
  return errno;
}

void set_no_delay(const Socket& socket) noexcept {
  const int on = 1;
  setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

std::string host_text(const config::SocketAddress& address) {
  if (address.family() == AF_INET)
    return v4_text(reinterpret_cast<const sockaddr_in*>(address.get())->sin_addr);
  if (address.family() == AF_INET6) {
    const auto* six = reinterpret_cast<const sockaddr_in6*>(address.get());
    std::array<char, INET6_ADDRSTRLEN> buffer{};
    inet_ntop(AF_INET6, &six->sin6_addr, buffer.data(), buffer.size());
    // A v4 peer on a v6 socket is a v4 peer to everybody else.
    const std::string text = buffer.data();
    return IN6_IS_ADDR_V4MAPPED(&six->sin6_addr) ? text.substr(text.rfind(':') + 1) : text;
  }
  return "unix:";
}

std::string to_text(const config::SocketAddress& address) {
  if (address.family() == AF_UNIX) {
    const auto* local = reinterpret_cast<const sockaddr_un*>(address.get());
    return address.length > offsetof(sockaddr_un, sun_path) ? "unix:" + std::string(local->sun_path)
                                                            : "unix:";
  }
  // sin_port and sin6_port lie at the same place.
  const auto port = std::to_string(ntohs(reinterpret_cast<const sockaddr_in*>(address.get())->sin_port));
  const std::string host = host_text(address);
  return host.find(':') == std::string::npos ? host + ":" + port : "[" + host + "]:" + port;
}

Result<void> write_first(int descriptor, std::string_view bytes) {
  const ssize_t sent = send(descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent == static_cast<ssize_t>(bytes.size())) return {};
  return Error{Failure::eof, Side::backend, Retry::other_backend,
               std::string("its first bytes were not taken: ") + std::strerror(sent < 0 ? errno : EAGAIN)};
}

config::SocketAddress local_address(int descriptor) noexcept {
  config::SocketAddress address;
  address.length = sizeof address.storage;
  if (getsockname(descriptor, reinterpret_cast<sockaddr*>(&address.storage), &address.length) != 0)
    address.length = 0;
  return address;
}

}  // namespace holdfast::net
