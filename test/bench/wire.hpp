// One connection of a load generator to 127.0.0.1: TCP or TLS 1.3, never blocking.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

namespace holdfast::bench {

// The shortest head that every proxy takes.
constexpr std::string_view request =
    "GET /bench HTTP/1.1\r\nHost: bench.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

// 1 KB, as Chromium sends it behind a page with cookies: what a proxy that can reroute has to remember.
constexpr std::string_view browser_request =
    "GET /bench HTTP/1.1\r\nHost: bench.test\r\nConnection: Upgrade\r\nPragma: no-cache\r\n"
    "Cache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like "
    "Gecko) Chrome/131.0.0.0 Safari/537.36\r\nUpgrade: websocket\r\nOrigin: https://bench.test\r\n"
    "Sec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
    "Accept-Language: en-GB,en;q=0.9,de-DE;q=0.8,de;q=0.7,en-US;q=0.6\r\n"
    "Cookie: session=eyJ1c2VyIjo0MjgxNzUsInNpbmNlIjoiMjAyNi0xMS0yNFQxMjowMDowMFoiLCJyb2xlIjoidHJhZGVyIn0."
    "q7X0c1mV9bK2tR5wY8nZ4hJ6dF3gL1sA0pQ; consent=analytics%3D0%26marketing%3D0%26version%3D7; theme=dark; "
    "timezone=Europe%2FBerlin; currency=EUR; "
    "region=eu-central-1; _ga=GA1.2.1837465920.1763980000; _gid=GA1.2.918273645.1763980000; "
    "csrf=5f2b8c1e9d7a4036b1c8e2f70a9d3b64c5e8f1a2; layout=%7B%22columns%22%3A%5B%22bid%22%2C%22ask%22%2C"
    "%22last%22%2C%22volume%22%5D%2C%22sort%22%3A%22symbol%22%2C%22rows%22%3A50%7D\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate; "
    "client_max_window_bits\r\n\r\n";

struct FreeSsl {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(SSL_CTX* ssl) const { SSL_CTX_free(ssl); }
  void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
};

using TlsContext = std::unique_ptr<SSL_CTX, FreeSsl>;

// One version and one cipher suite, so that all proxies do the same work whatever they would prefer.
inline TlsContext make_client_context() {
  TlsContext tls(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_min_proto_version(tls.get(), TLS1_3_VERSION);
  SSL_CTX_set_ciphersuites(tls.get(), "TLS_AES_256_GCM_SHA384");
  SSL_CTX_set_mode(tls.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
  return tls;
}

enum class Io { done, blocked, failed };

class Wire {
 public:
  Wire() = default;
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;
  ~Wire() { shut(); }

  // False, with errno, when that is impossible at once. `tls` may be null; `source` is a host of 127.0.0.0/8
  // to come from, or 0 for any.
  bool begin(std::uint16_t port, SSL_CTX* tls, std::uint32_t source = 0) {
    descriptor_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor_ < 0) return false;
    const int on = 1;
    setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    if (source != 0) {
      setsockopt(descriptor_, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
      address.sin_addr.s_addr = htonl(source);
      if (bind(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return false;
    }
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 &&
        errno != EINPROGRESS)
      return false;
    if (tls != nullptr) {
      ssl_.reset(SSL_new(tls));
      SSL_set_fd(ssl_.get(), descriptor_);
      SSL_set_tlsext_host_name(ssl_.get(), "bench.test");
      SSL_set_connect_state(ssl_.get());
    }
    return true;
  }

  // Edge-triggered, once for all; `owner` comes back in the events.
  void watch(int epoll, void* owner) const {
    epoll_event event{EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {owner}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor_, &event);
  }

  // Before the first byte arrives: how much the kernel keeps for us.
  void limit_receiving(int bytes) const {
    setsockopt(descriptor_, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  }

  // Behind `begin`, for a client that is told of every arrival (edges) and to whom an end may come late: one
  // system call for what is there, as a plain one makes, instead of two a record and one that finds nothing.
  void read_flights() {
    if (!ssl_) return;
    BIO* bio = BIO_new(flight_method());
    BIO_set_data(bio, this);
    BIO_set_init(bio, 1);
    SSL_set0_rbio(ssl_.get(), bio);
    SSL_set_read_ahead(ssl_.get(), 1);
    SSL_set_default_read_buffer_len(ssl_.get(), flight_bytes);
  }

  // The TLS handshake; done at once without TLS.
  Io handshake() {
    if (!ssl_) return Io::done;
    const int result = SSL_do_handshake(ssl_.get());
    return result == 1 ? Io::done : state_of(result);
  }

  // Bytes read, 0 when nothing is there, -1 at the end of the connection.
  ssize_t receive(char* data, std::size_t size) {
    if (ssl_) {
      const int result = SSL_read(ssl_.get(), data, static_cast<int>(size));
      if (result > 0) return result;
      return state_of(result) == Io::blocked ? 0 : -1;
    }
    const ssize_t result = recv(descriptor_, data, size, 0);
    if (result > 0) return result;
    return result < 0 && errno == EAGAIN ? 0 : -1;
  }

  // Bytes taken, 0 when the socket is full, -1 when the connection is broken.
  ssize_t send_some(std::string_view data) {
    if (ssl_) {
      const int result = SSL_write(ssl_.get(), data.data(), static_cast<int>(data.size()));
      if (result > 0) return result;
      return state_of(result) == Io::blocked ? 0 : -1;
    }
    const ssize_t result = send(descriptor_, data.data(), data.size(), MSG_NOSIGNAL);
    if (result >= 0) return result;
    return errno == EAGAIN || errno == ENOTCONN ? 0 : -1;
  }

  // Null without TLS.
  [[nodiscard]] SSL* ssl() const { return ssl_.get(); }

  void shut() {
    ssl_.reset();
    if (descriptor_ >= 0) close(descriptor_);
    descriptor_ = -1;
  }

 private:
  static constexpr std::size_t flight_bytes = 64UL * 1024;

  static int read_flight(BIO* bio, char* out, int size) {
    auto* const wire = static_cast<Wire*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    if (std::exchange(wire->emptied_, false)) {
      BIO_set_retry_read(bio);
      return -1;
    }
    const ssize_t got = recv(wire->descriptor_, out, static_cast<std::size_t>(size), 0);
    wire->emptied_ = got > 0 && got < size;
    if (got < 0 && errno == EAGAIN) BIO_set_retry_read(bio);
    return static_cast<int>(got);
  }

  static const BIO_METHOD* flight_method() {
    static const BIO_METHOD* const method = [] {
      BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "flights");
      BIO_meth_set_read(made, read_flight);
      BIO_meth_set_ctrl(made, [](BIO*, int, long, void*) { return 0L; });
      return made;
    }();
    return method;
  }

  Io state_of(int result) {
    const int error = SSL_get_error(ssl_.get(), result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return Io::blocked;
    ERR_clear_error();  // it would be taken for the next connection's
    return Io::failed;
  }

  int descriptor_ = -1;
  bool emptied_ = false;  // by a short read
  std::unique_ptr<SSL, FreeSsl> ssl_;
};

}  // namespace holdfast::bench
