// Sessions that come and go: connect, TLS handshake, handshake, Close, next. Closed loop with a number of
// them at once; for what a proxy's setup costs.
#include <sys/epoll.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "frames.hpp"
#include "modes.hpp"
#include "wire.hpp"

namespace holdfast::bench {
namespace {

constexpr std::size_t scratch_bytes = 16 * 1024;
constexpr char mask[4] = {0x11, 0x5a, 0x3c, 0x77};
// Connections in TIME_WAIT keep their ports for a while: sources are spread over 64 addresses of 127.0.0.0/8.
constexpr std::uint32_t first_source = 0x7f000001;
constexpr std::uint32_t source_count = 64;

enum class Phase { connecting, awaiting_head, closing };

struct Visitor {
  Wire wire;
  Phase phase = Phase::connecting;
  std::string head;         // the answer until its empty line
  std::string_view unsent;  // the request or the Close frame
};

class Handshakes {
 public:
  explicit Handshakes(const HandshakeOptions& options)
      : options_(options),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        scratch_(scratch_bytes),
        visitors_(options.at_once) {
    append_header(close_frame_, opcode_close, 2, mask);
    close_frame_.push_back(static_cast<char>((1000 >> 8) ^ mask[0]));
    close_frame_.push_back(static_cast<char>((1000 & 0xff) ^ mask[1]));
    if (options.transport == Transport::tls) {
      tls_ = make_client_context();
      if (options.tickets == Tickets::use) keep_tickets();
    }
    epoll_event event{EPOLLIN, {nullptr}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, STDIN_FILENO, &event);
  }

  int run() {
    start(visitors_[0]);  // alone: all others use its ticket
    epoll_event events[256];
    for (;;) {
      const int count = epoll_wait(epoll_, events, 256, -1);
      for (int n = 0; n < count; ++n) {
        if (events[n].data.ptr != nullptr) {
          turn(*static_cast<Visitor*>(events[n].data.ptr));
        } else if (!answer_control()) {
          return 0;
        }
      }
      if (lost_ > 0 && !all_at_once_) return 1;
    }
  }

 private:
  void keep_tickets() {
    SSL_CTX_set_session_cache_mode(tls_.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_set_app_data(tls_.get(), this);
    SSL_CTX_sess_set_new_cb(tls_.get(), [](SSL* ssl, SSL_SESSION* session) {
      auto* self = static_cast<Handshakes*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
      if (!self->ticket_) self->ticket_.reset(SSL_SESSION_dup(session));
      return 0;  // the connection keeps its own
    });
  }

  void start(Visitor& visitor) {
    const std::uint32_t source = first_source + next_source_++ % source_count;
    if (!visitor.wire.begin(options_.port, tls_.get(), source)) {
      std::perror("handshake: connect");
      std::exit(1);
    }
    if (ticket_) {
      // A copy: OpenSSL never again resumes a session whose connection ended without close_notify.
      const std::unique_ptr<SSL_SESSION, FreeSsl> copy(SSL_SESSION_dup(ticket_.get()));
      SSL_set_session(visitor.wire.ssl(), copy.get());
    }
    visitor.phase = Phase::connecting;
    visitor.head.clear();
    visitor.unsent = request;
    visitor.wire.watch(epoll_, &visitor);
  }

  void turn(Visitor& visitor) {
    const Io state = advance(visitor);
    if (state == Io::blocked) return;
    if (state == Io::failed) {
      ++lost_;
    } else {
      ++done_;
    }
    visitor.wire.shut();
    start(visitor);
    if (all_at_once_ || state == Io::failed) return;
    all_at_once_ = true;
    for (std::size_t n = 1; n < visitors_.size(); ++n) start(visitors_[n]);
    std::printf("open 1\n");
    std::fflush(stdout);
  }

  // Done = it has come and gone.
  Io advance(Visitor& visitor) {
    if (visitor.phase == Phase::connecting) {
      const Io state = visitor.wire.handshake();
      if (state != Io::done) return state;
      const bool resumes = options_.tickets == Tickets::use && done_ > 0;
      if (resumes && SSL_session_reused(visitor.wire.ssl()) != 1) return Io::failed;
      if (options_.stay == Stay::tls_only) return Io::done;
      visitor.phase = Phase::awaiting_head;
    }
    for (;;) {
      if (!flush(visitor)) return visitor.phase == Phase::closing ? Io::done : Io::failed;
      const ssize_t size = visitor.wire.receive(scratch_.data(), scratch_.size());
      if (size == 0) return Io::blocked;
      if (visitor.phase == Phase::closing) {
        if (size < 0) return Io::done;
        continue;  // the echoed Close
      }
      if (size < 0) return Io::failed;
      visitor.head.append(scratch_.data(), static_cast<std::size_t>(size));
      if (visitor.head.find("\r\n\r\n") == std::string::npos) continue;
      if (!visitor.head.starts_with("HTTP/1.1 101")) return Io::failed;
      visitor.phase = Phase::closing;
      visitor.unsent = close_frame_;
    }
  }

  static bool flush(Visitor& visitor) {
    while (!visitor.unsent.empty()) {
      const ssize_t sent = visitor.wire.send_some(visitor.unsent);
      if (sent <= 0) return sent == 0;
      visitor.unsent.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  // False at the end of stdin.
  bool answer_control() {
    char line[256];
    if (read(STDIN_FILENO, line, sizeof line) <= 0) return false;
    std::printf("count %llu %zu\n", done_, lost_);
    std::fflush(stdout);
    return true;
  }

  HandshakeOptions options_;
  int epoll_;
  std::vector<char> scratch_;
  std::vector<Visitor> visitors_;
  std::string close_frame_;
  TlsContext tls_;
  std::unique_ptr<SSL_SESSION, FreeSsl> ticket_;  // the first one that came
  std::uint32_t next_source_ = 0;
  unsigned long long done_ = 0;
  std::size_t lost_ = 0;
  bool all_at_once_ = false;
};

}  // namespace

int run_handshakes(const HandshakeOptions& options) {
  Handshakes handshakes(options);
  return handshakes.run();
}

}  // namespace holdfast::bench
