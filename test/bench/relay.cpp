// The bare relay of the bench, "the limit": one thread, edge-triggered epoll, recv -> send through one shared
// scratch. It knows no frames, no HTTP, no timers, no limits; what it costs is what the kernel and OpenSSL
// cost.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "modes.hpp"

namespace holdfast::bench {
namespace {

constexpr std::size_t scratch_bytes = 64 * 1024;
// What OpenSSL may have kept of a record that came in pieces, on top of one scratch.
constexpr std::size_t plaintext_bytes = scratch_bytes + 32 * 1024;

// Of the connection that is served just now: OpenSSL reads from `in`, a view of the thread's scratch, and
// appends to `out`. So one recv feeds all records of a burst, one send takes all that are written.
struct Ciphertext {
  std::string_view in;
  std::string out;
};

int bio_read(BIO* bio, char* data, int size) {
  auto& text = *static_cast<Ciphertext*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  const std::size_t part = std::min(text.in.size(), static_cast<std::size_t>(size));
  if (part == 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  text.in.copy(data, part);
  text.in.remove_prefix(part);
  return static_cast<int>(part);
}

int bio_write(BIO* bio, const char* data, int size) {
  static_cast<Ciphertext*>(BIO_get_data(bio))->out.append(data, static_cast<std::size_t>(size));
  return size;
}

long bio_control(BIO*, int command, long, void*) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

// One BIO for all connections of the thread.
BIO* make_bio(Ciphertext& text) {
  BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "scratch");
  BIO_meth_set_read(method, bio_read);
  BIO_meth_set_write(method, bio_write);
  BIO_meth_set_ctrl(method, bio_control);
  BIO* bio = BIO_new(method);
  BIO_set_data(bio, &text);
  BIO_set_init(bio, 1);
  return bio;
}

struct Pair;

struct End {
  int descriptor = -1;
  bool hung_up = false;  // a FIN is behind what can be read: a short read does not mean that all is read
  End* peer = nullptr;
  Pair* pair = nullptr;
  SSL* ssl = nullptr;  // a client's, on the TLS port
  std::string unsent;  // as it goes to the socket; while there is any, the peer is not read
};

struct Pair {
  End client;
  End backend;
  bool finishing = false;  // closed once what is unsent is sent
  bool ended = false;
};

class Relay {
 public:
  explicit Relay(const RelayOptions& options)
      : options_(options),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        scratch_(scratch_bytes),
        plaintext_(plaintext_bytes),
        bio_(make_bio(ciphertext_)),
        tls_(SSL_CTX_new(TLS_server_method())) {
    ciphertext_.out.reserve(2 * plaintext_bytes);
    SSL_CTX_set_min_proto_version(tls_, TLS1_2_VERSION);
    SSL_CTX_set_mode(tls_, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(tls_, SSL_SESS_CACHE_OFF);  // tickets need none
  }

  int run() {
    if (SSL_CTX_use_certificate_chain_file(tls_, options_.chain) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls_, options_.key, SSL_FILETYPE_PEM) != 1) {
      std::fputs("relay: certificate or key can't be used\n", stderr);
      return 1;
    }
    if (!listen_on(options_.plain_port, plain_) || !listen_on(options_.tls_port, secure_)) {
      std::perror("relay: listen");
      return 1;
    }
    for (;;) turn();
  }

 private:
  bool listen_on(std::uint16_t port, int& listener) {
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const sockaddr_in address = loopback(port);
    epoll_event event{EPOLLIN, {&listener}};
    return bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
           listen(listener, 4096) == 0 && epoll_ctl(epoll_, EPOLL_CTL_ADD, listener, &event) == 0;
  }

  static sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }

  void turn() {
    epoll_event events[256];
    const int count = epoll_wait(epoll_, events, 256, -1);
    for (int n = 0; n < count; ++n) {
      if (events[n].data.ptr == &plain_ || events[n].data.ptr == &secure_) {
        accept_all(*static_cast<int*>(events[n].data.ptr));
      } else {
        serve(*static_cast<End*>(events[n].data.ptr), events[n].events);
      }
    }
    for (const Pair* pair : ended_) delete pair;  // no event of this batch points to them any more
    ended_.clear();
  }

  void accept_all(int listener) {
    for (;;) {
      const int client = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (client < 0) return;
      const int backend = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      const sockaddr_in address = loopback(options_.backend_port);
      if (connect(backend, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
          errno != EINPROGRESS) {
        close(client);
        if (backend >= 0) close(backend);
        continue;
      }
      auto* pair = new Pair;  // owned by the epoll set; `end` frees it
      if (listener == secure_) pair->client.ssl = make_ssl();
      attach(*pair, pair->client, pair->backend, client);
      attach(*pair, pair->backend, pair->client, backend);
    }
  }

  SSL* make_ssl() {
    SSL* ssl = SSL_new(tls_);
    BIO_up_ref(bio_);
    SSL_set_bio(ssl, bio_, bio_);
    SSL_set_accept_state(ssl);
    return ssl;
  }

  void attach(Pair& pair, End& end, End& peer, int descriptor) {
    end.descriptor = descriptor;
    end.peer = &peer;
    end.pair = &pair;
    const int on = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    epoll_event event{EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {&end}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event);
  }

  void serve(End& end, std::uint32_t events) {
    if (end.pair->ended) return;
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) end.hung_up = true;
    if (!end.unsent.empty()) {
      if (!flush(end)) return close_both(*end.pair);
      if (end.unsent.empty() && end.pair->finishing) return close_both(*end.pair);
      // Its edge is spent: nobody else tells us that it can be read.
      if (end.unsent.empty() && !pump(*end.peer)) return finish(*end.peer);
    }
    if ((events & ~EPOLLOUT) != 0 && !pump(end)) finish(end);
  }

  // False at the end of `from`, or when either connection is broken.
  bool pump(End& from) {
    while (from.peer->unsent.empty()) {
      const ssize_t size = recv(from.descriptor, scratch_.data(), scratch_.size(), 0);
      if (size <= 0) return size < 0 && errno == EAGAIN;
      const std::string_view data(scratch_.data(), static_cast<std::size_t>(size));
      if (from.ssl != nullptr ? !decrypt(from, data) : !forward(*from.peer, data)) return false;
      if (data.size() < scratch_.size() && !from.hung_up) return true;
    }
    return true;
  }

  // All of it, so that no ciphertext stays in the scratch; the TLS handshake goes the same way.
  bool decrypt(End& from, std::string_view data) {
    ciphertext_.in = data;
    ciphertext_.out.clear();
    std::size_t filled = 0;
    int size = 0;
    do {
      size = SSL_read(from.ssl, plaintext_.data() + filled, static_cast<int>(plaintext_.size() - filled));
      if (size > 0) filled += static_cast<std::size_t>(size);
    } while (size > 0);
    const bool blocked = SSL_get_error(from.ssl, size) == SSL_ERROR_WANT_READ;
    if (!blocked) ERR_clear_error();
    if (!ciphertext_.out.empty() && !put(from, ciphertext_.out)) return false;
    return (filled == 0 || put(*from.peer, {plaintext_.data(), filled})) && blocked;
  }

  bool forward(End& to, std::string_view data) {
    if (to.ssl == nullptr) return put(to, data);
    ciphertext_.out.clear();
    const int written = SSL_write(to.ssl, data.data(), static_cast<int>(data.size()));
    return written == static_cast<int>(data.size()) && put(to, ciphertext_.out);
  }

  static bool put(End& to, std::string_view data) {
    if (to.unsent.empty()) {
      const ssize_t sent = send(to.descriptor, data.data(), data.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno != EAGAIN) return false;
      if (sent > 0) data.remove_prefix(static_cast<std::size_t>(sent));
    }
    if (!data.empty()) to.unsent += data;
    return true;
  }

  static bool flush(End& end) {
    const ssize_t sent = send(end.descriptor, end.unsent.data(), end.unsent.size(), MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN;
    end.unsent.erase(0, static_cast<std::size_t>(sent));
    if (end.unsent.empty()) std::string().swap(end.unsent);
    return true;
  }

  void finish(End& from) {
    from.pair->finishing = true;
    if (from.peer->unsent.empty()) close_both(*from.pair);
  }

  void close_both(Pair& pair) {
    if (pair.client.ssl != nullptr) {
      ciphertext_.out.clear();
      if (SSL_is_init_finished(pair.client.ssl)) SSL_shutdown(pair.client.ssl);
      if (!ciphertext_.out.empty()) put(pair.client, ciphertext_.out);
      SSL_free(pair.client.ssl);
      ERR_clear_error();
    }
    close(pair.client.descriptor);
    close(pair.backend.descriptor);
    pair.ended = true;
    ended_.push_back(&pair);
  }

  RelayOptions options_;
  int epoll_;
  int plain_ = -1;
  int secure_ = -1;
  std::vector<char> scratch_;
  std::vector<char> plaintext_;
  Ciphertext ciphertext_;
  BIO* bio_;  // these two live as long as the process
  SSL_CTX* tls_;
  std::vector<const Pair*> ended_;
};

}  // namespace

int run_relay(const RelayOptions& options) {
  return Relay(options).run();
}

}  // namespace holdfast::bench
