// The load generator of the bench: raw WebSocket clients over TCP or TLS on one epoll thread, so cheap
// that the proxy is what is measured. Closed loop: each echo is answered by the next message.
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "frames.hpp"
#include "modes.hpp"
#include "wire.hpp"

namespace holdfast::bench {
namespace {

constexpr std::size_t scratch_bytes = 256 * 1024;
constexpr std::size_t handshakes_at_once = 64;
constexpr char mask[4] = {0x11, 0x5a, 0x3c, 0x77};

enum class Phase { connecting, awaiting_head, open, lost };

struct Client {
  Wire wire;
  Phase phase = Phase::connecting;
  std::string head;         // the answer until its empty line
  std::string_view unsent;  // into the shared frames, the request, or `own`
  std::string own;          // only when a pong has to be put behind something else
  std::size_t owed = 0;     // messages to send once `unsent` is
  FrameReader reader;
};

class Load {
 public:
  explicit Load(const LoadOptions& options)
      : options_(options),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        scratch_(scratch_bytes),
        clients_(options.connections) {
    std::string frame;
    append_header(frame, opcode_binary, options.message_bytes, mask);
    for (std::size_t i = 0; i < options.message_bytes; ++i)
      frame.push_back(static_cast<char>('a' ^ mask[i & 3]));
    frame_bytes_ = frame.size();
    for (std::size_t i = 0; i < options.in_flight; ++i) frames_ += frame;
    if (options.transport == Transport::tls) tls_ = make_client_context();
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
    if (!client.wire.begin(options_.port, tls_.get())) return lose(client);
    client.unsent = options_.traffic == Traffic::idle ? browser_request : request;
    client.wire.watch(epoll_, &client);
  }

  void turn(Client& client) {
    if (client.phase == Phase::lost) return;
    if (client.phase == Phase::connecting) {
      const Io state = client.wire.handshake();
      if (state == Io::failed) lose(client);
      if (state != Io::done) return;
      client.phase = Phase::awaiting_head;
    }
    if (!flush(client) || !read_all(client)) lose(client);
  }

  bool read_all(Client& client) {
    for (;;) {
      const ssize_t size = client.wire.receive(scratch_.data(), scratch_.size());
      if (size <= 0) return size == 0;
      const bool more_likely =
          client.wire.ssl() != nullptr || static_cast<std::size_t>(size) == scratch_.size();
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
    if (options_.traffic == Traffic::echo) client.owed = options_.in_flight;
  }

  struct EchoSink {
    Load& load;
    Client& client;
    int opcode = 0;
    std::string ping = {};
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
        if (load.options_.traffic == Traffic::echo) ++client.owed;
      }
      ping.clear();
    }
  };

  bool deliver(Client& client, char* data, std::size_t size) {
    EchoSink sink{*this, client};
    client.reader.feed(data, size, sink);
    return !sink.closed && flush(client);
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

  bool flush(Client& client) {
    for (;;) {
      if (client.unsent.empty()) {
        if (!client.own.empty()) std::string().swap(client.own);
        if (client.owed == 0) return true;
        client.unsent = std::string_view(frames_).substr(0, client.owed * frame_bytes_);
        client.owed = 0;
      }
      const ssize_t sent = client.wire.send_some(client.unsent);
      if (sent <= 0) return sent == 0;
      client.unsent.remove_prefix(static_cast<std::size_t>(sent));
    }
  }

  void lose(Client& client) {
    last_error_ = errno;
    ++lost_;
    client.phase = Phase::lost;
    client.wire.shut();
  }

  // False at the end of stdin.
  bool answer_control() {
    char line[256];
    const ssize_t size = read(STDIN_FILENO, line, sizeof line);
    if (size <= 0) return false;
    if (std::string_view(line, static_cast<std::size_t>(size)).starts_with("once")) {
      for (Client& client : clients_) say(client);
    }
    std::printf("count %llu %zu\n", round_trips_, lost_);
    std::fflush(stdout);
    return true;
  }

  void say(Client& client) {
    if (client.phase != Phase::open) return;
    ++client.owed;
    if (!flush(client)) lose(client);
  }

  LoadOptions options_;
  int epoll_;
  std::vector<char> scratch_;
  std::vector<Client> clients_;
  TlsContext tls_;
  std::string frames_;  // as many as can be in flight
  std::size_t frame_bytes_ = 0;
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
