// The echo backend of the bench: one thread, edge-triggered epoll, no buffer per idle connection.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "frames.hpp"
#include "modes.hpp"
#include "upgrade.hpp"

namespace holdfast::bench {
namespace {

constexpr std::size_t scratch_bytes = 256 * 1024;

struct Peer {
  int descriptor = -1;
  bool upgraded = false;
  std::string head;    // the request until its empty line
  std::string unsent;  // only what the socket did not take
  FrameReader reader;
};

// Turns the frames of one read into their echo, appended to `out`.
struct EchoSink {
  std::string& out;
  std::uint8_t signature = 0;
  bool closing = false;
  bool sign_next = false;

  void header(const FrameHeader& header) {
    closing = closing || header.opcode == opcode_close;
    append_header(out, header.opcode == opcode_ping ? opcode_pong : header.opcode, header.length, nullptr);
    sign_next = signature != 0 && header.opcode <= opcode_binary;
  }
  void payload(const char* data, std::size_t size, bool) {
    if (size == 0) return;
    out.append(data, size);
    if (sign_next) out[out.size() - size] = static_cast<char>(signature);
    sign_next = false;
  }
};

class EchoServer {
 public:
  EchoServer(int listener, const EchoOptions& options)
      : listener_(listener),
        options_(options),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        scratch_(scratch_bytes) {
    epoll_event event{EPOLLIN, {nullptr}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &event);
    out_.reserve(scratch_bytes * 2);
  }

  // Serves until the process is killed.
  [[noreturn]] void run() {
    epoll_event events[256];
    for (;;) {
      const int count = epoll_wait(epoll_, events, 256, -1);
      for (int i = 0; i < count; ++i) {
        if (events[i].data.ptr == nullptr) {
          accept_all();
        } else {
          turn(static_cast<Peer*>(events[i].data.ptr));
        }
      }
    }
  }

 private:
  void accept_all() {
    for (;;) {
      const int descriptor = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (descriptor < 0) return;
      const int on = 1;
      setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      const linger at_once{1, 0};
      if (options_.death == Death::reset)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
      auto* peer = new Peer;  // owned by the epoll set; close_peer frees it
      peer->descriptor = descriptor;
      epoll_event event{EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {peer}};
      epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event);
    }
  }

  void turn(Peer* peer) {
    if (!flush(peer)) return close_peer(peer);
    for (;;) {
      const ssize_t size = recv(peer->descriptor, scratch_.data(), scratch_.size(), 0);
      if (size < 0 && errno == EAGAIN) return;
      if (size <= 0) return close_peer(peer);
      out_.clear();
      EchoSink sink{out_, options_.signature};
      if (!take(peer, scratch_.data(), static_cast<std::size_t>(size), sink)) return close_peer(peer);
      if (!send_out(peer) || sink.closing) return close_peer(peer);
      if (static_cast<std::size_t>(size) < scratch_.size()) return;
    }
  }

  static bool take(Peer* peer, char* data, std::size_t size, EchoSink& sink) {
    if (peer->upgraded) {
      peer->reader.feed(data, size, sink);
      return true;
    }
    peer->head.append(data, size);
    const auto end = peer->head.find("\r\n\r\n");
    if (end == std::string::npos) return peer->head.size() < 65536;
    const std::string key = key_of(peer->head.substr(0, end));
    if (key.empty()) return false;
    sink.out += switching_protocols(key);
    std::string rest = peer->head.substr(end + 4);
    std::string().swap(peer->head);
    peer->upgraded = true;
    peer->reader.feed(rest.data(), rest.size(), sink);
    return true;
  }

  bool send_out(Peer* peer) {
    if (!peer->unsent.empty()) {
      peer->unsent += out_;
      return flush(peer);
    }
    const ssize_t sent = out_.empty() ? 0 : send(peer->descriptor, out_.data(), out_.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return false;
    const std::size_t done = sent < 0 ? 0 : static_cast<std::size_t>(sent);
    if (done < out_.size()) peer->unsent.assign(out_, done);
    return true;
  }

  static bool flush(Peer* peer) {
    while (!peer->unsent.empty()) {
      const ssize_t sent = send(peer->descriptor, peer->unsent.data(), peer->unsent.size(), MSG_NOSIGNAL);
      if (sent < 0) return errno == EAGAIN;
      peer->unsent.erase(0, static_cast<std::size_t>(sent));
    }
    return true;
  }

  static void close_peer(Peer* peer) {
    close(peer->descriptor);
    delete peer;
  }

  int listener_;
  EchoOptions options_;
  int epoll_;
  std::vector<char> scratch_;
  std::string out_;
};

}  // namespace

int run_echo(const EchoOptions& options) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);  // it may take its predecessor's port
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(options.port);
  address.sin_addr.s_addr = htonl(INADDR_ANY);  // all of 127.0.0.0/8 is thousands of backends
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener, generic, size) != 0 || listen(listener, 4096) != 0 ||
      getsockname(listener, generic, &size) != 0) {
    std::perror("echo: listen");
    return 1;
  }
  std::printf("port %d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  EchoServer(listener, options).run();
}

}  // namespace holdfast::bench
