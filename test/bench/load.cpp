// The load generator of the bench: raw WebSocket clients over TCP or TLS on one epoll thread, so cheap
// that the proxy is what is measured. One message in flight per connection (closed loop).
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "frames.hpp"
#include "modes.hpp"

namespace holdfast::bench {
namespace {

constexpr std::size_t scratch_bytes = 256 * 1024;
constexpr std::size_t handshakes_at_once = 64;
constexpr char mask[4] = {0x11, 0x5a, 0x3c, 0x77};

constexpr std::string_view request =
    "GET /bench HTTP/1.1\r\nHost: bench.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

struct FreeSsl {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(SSL_CTX* ssl) const { SSL_CTX_free(ssl); }
};

enum class Phase { connecting, handshaking, awaiting_head, open, lost };
enum class Io { done, blocked, failed };

struct Client {
  int descriptor = -1;
  Phase phase = Phase::connecting;
  std::unique_ptr<SSL, FreeSsl> ssl;
  std::string head;         // the answer until its empty line
  std::string_view unsent;  // into the shared frame, the request, or `own`
  std::string own;          // only when a pong has to be put behind something else
  FrameReader reader;
};

class Load {
 public:
  explicit Load(const LoadOptions& options)
      : options_(options),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        scratch_(scratch_bytes),
        clients_(options.connections) {
    append_header(frame_, opcode_binary, options.message_bytes, mask);
    for (std::size_t i = 0; i < options.message_bytes; ++i)
      frame_.push_back(static_cast<char>('a' ^ mask[i & 3]));
    if (options.transport == Transport::tls) {
      tls_.reset(SSL_CTX_new(TLS_client_method()));
      SSL_CTX_set_mode(tls_.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                       SSL_MODE_RELEASE_BUFFERS);
    }
    epoll_event event{EPOLLIN, {nullptr}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, STDIN_FILENO, &event);
  }

  int run() {
    for (std::size_t i = 0; i < handshakes_at_once; ++i) connect_next();
    epoll_event events[256];
    for (;;) {
      const int count = epoll_wait(epoll_, events, 256, -1);
      for (int i = 0; i < count; ++i) {
        if (events[i].data.ptr == nullptr) {
          if (!answer_control()) return 0;
          continue;
        }
        turn(*static_cast<Client*>(events[i].data.ptr));
      }
      if (!all_opened_ && lost_ > 0) {
        std::fprintf(stderr, "load: lost a connection after %zu were open: %s\n", open_,
                     std::strerror(last_error_));
        return 1;
      }
    }
  }

 private:
  void connect_next() {
    if (next_ == clients_.size()) return;
    Client& client = clients_[next_++];
    client.descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(options_.port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int on = 1;
    setsockopt(client.descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const int result = connect(client.descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address);
    if (client.descriptor < 0 || (result != 0 && errno != EINPROGRESS)) return lose(client);
    if (tls_) {
      client.ssl.reset(SSL_new(tls_.get()));
      SSL_set_fd(client.ssl.get(), client.descriptor);
      SSL_set_tlsext_host_name(client.ssl.get(), "bench.test");
      SSL_set_connect_state(client.ssl.get());
    }
    client.unsent = request;
    epoll_event event{EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {&client}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, client.descriptor, &event);
  }

  void turn(Client& client) {
    if (client.phase == Phase::lost) return;
    if (client.phase == Phase::connecting) client.phase = tls_ ? Phase::handshaking : Phase::awaiting_head;
    if (client.phase == Phase::handshaking) {
      const int result = SSL_do_handshake(client.ssl.get());
      if (result != 1) {
        if (state_of(client, result) == Io::failed) lose(client);
        return;
      }
      client.phase = Phase::awaiting_head;
    }
    if (!flush(client) || !read_all(client)) lose(client);
  }

  static Io state_of(Client& client, int result) {
    const int error = SSL_get_error(client.ssl.get(), result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? Io::blocked : Io::failed;
  }

  // Bytes read, 0 when nothing is there, -1 at the end of the connection.
  ssize_t receive(Client& client) {
    if (client.ssl) {
      const int size = SSL_read(client.ssl.get(), scratch_.data(), static_cast<int>(scratch_.size()));
      if (size > 0) return size;
      return state_of(client, size) == Io::blocked ? 0 : -1;
    }
    const ssize_t size = recv(client.descriptor, scratch_.data(), scratch_.size(), 0);
    if (size > 0) return size;
    return size < 0 && errno == EAGAIN ? 0 : -1;
  }

  bool read_all(Client& client) {
    for (;;) {
      const ssize_t size = receive(client);
      if (size <= 0) return size == 0;
      const bool more_likely = client.ssl || static_cast<std::size_t>(size) == scratch_.size();
      if (!take(client, scratch_.data(), static_cast<std::size_t>(size))) return false;
      if (!more_likely) return true;
    }
  }

  bool take(Client& client, char* data, std::size_t size) {
    if (client.phase == Phase::awaiting_head) {
      client.head.append(data, size);
      const auto end = client.head.find("\r\n\r\n");
      if (end == std::string::npos) return client.head.size() < 65536;
      if (client.head.compare(0, 12, "HTTP/1.1 101") != 0) {
        std::fprintf(stderr, "load: %.*s\n", static_cast<int>(client.head.find('\r')), client.head.data());
        return false;
      }
      std::string rest = client.head.substr(end + 4);
      std::string().swap(client.head);
      opened(client);
      return deliver(client, rest.data(), rest.size());
    }
    return deliver(client, data, size);
  }

  void opened(Client& client) {
    client.phase = Phase::open;
    if (++open_ == clients_.size()) {
      all_opened_ = true;
      std::printf("open %zu\n", open_);
      std::fflush(stdout);
    }
    connect_next();
    if (options_.traffic == Traffic::echo) client.unsent = frame_;
  }

  struct EchoSink {
    Load& load;
    Client& client;
    int opcode = 0;
    std::string ping;
    bool closed = false;

    void header(const FrameHeader& header) {
      opcode = header.opcode;
      closed = closed || opcode == opcode_close;
    }
    void payload(const char* data, std::size_t size, bool last) {
      if (opcode == opcode_ping && size > 0) ping.append(data, size);
      if (!last) return;
      if (opcode == opcode_ping) pong(client, ping);
      if (opcode <= opcode_binary) {
        ++load.round_trips_;
        load.queue_frame(client);
      }
      ping.clear();
    }
  };

  bool deliver(Client& client, char* data, std::size_t size) {
    EchoSink sink{*this, client, 0, {}, false};
    client.reader.feed(data, size, sink);
    return !sink.closed && flush(client);
  }

  // Behind what is still unsent (a pong, or the message before it).
  void queue_frame(Client& client) {
    if (client.unsent.empty()) {
      client.unsent = frame_;
    } else {
      append(client, frame_);
    }
  }

  static void pong(Client& client, const std::string& payload) {
    std::string out;
    append_header(out, opcode_pong, payload.size(), mask);
    for (std::size_t i = 0; i < payload.size(); ++i)
      out.push_back(static_cast<char>(payload[i] ^ mask[i & 3]));
    append(client, out);
  }

  static void append(Client& client, std::string_view bytes) {
    std::string out(client.unsent);
    out += bytes;
    client.own.swap(out);
    client.unsent = client.own;
  }

  static bool flush(Client& client) {
    while (!client.unsent.empty()) {
      ssize_t sent = 0;
      if (client.ssl) {
        sent = SSL_write(client.ssl.get(), client.unsent.data(), static_cast<int>(client.unsent.size()));
        if (sent <= 0) return state_of(client, static_cast<int>(sent)) == Io::blocked;
      } else {
        sent = send(client.descriptor, client.unsent.data(), client.unsent.size(), MSG_NOSIGNAL);
        if (sent < 0) return errno == EAGAIN;
      }
      client.unsent.remove_prefix(static_cast<std::size_t>(sent));
    }
    if (!client.own.empty()) std::string().swap(client.own);
    return true;
  }

  void lose(Client& client) {
    last_error_ = errno;
    ++lost_;
    client.phase = Phase::lost;
    client.ssl.reset();
    if (client.descriptor >= 0) close(client.descriptor);
    client.descriptor = -1;
  }

  // False at the end of stdin.
  bool answer_control() {
    char line[256];
    const ssize_t size = read(STDIN_FILENO, line, sizeof line);
    if (size <= 0) return false;
    std::printf("count %llu %zu\n", round_trips_, lost_);
    std::fflush(stdout);
    return true;
  }

  LoadOptions options_;
  int epoll_;
  std::vector<char> scratch_;
  std::vector<Client> clients_;
  std::unique_ptr<SSL_CTX, FreeSsl> tls_;
  std::string frame_;
  std::size_t next_ = 0;
  std::size_t open_ = 0;
  std::size_t lost_ = 0;
  int last_error_ = 0;
  bool all_opened_ = false;
  unsigned long long round_trips_ = 0;
};

}  // namespace

int run_load(const LoadOptions& options) {
  Load load(options);
  return load.run();
}

}  // namespace holdfast::bench
