// The clients of test/bench/reroute: sessions that send numbered, time-stamped messages to echo backends
// which sign their answers. One epoll thread, 9,000 sessions on a part of a core; plain TCP.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <string>
#include <string_view>

#include "frames.hpp"
#include "modes.hpp"
#include "tally.hpp"

namespace holdfast::bench {
namespace {

constexpr std::size_t scratch_bytes = 64 * 1024;
constexpr std::size_t handshakes_at_once = 64;
constexpr std::size_t payload_bytes = 64;
constexpr int tick_ms = 5;
constexpr char mask[4] = {0x11, 0x5a, 0x3c, 0x77};

constexpr std::string_view request =
    "GET /bench HTTP/1.1\r\nHost: bench.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

enum class Phase : std::uint8_t { connecting, awaiting_head, open, closed };

struct Session {
  int descriptor = -1;
  Phase phase = Phase::connecting;
  std::string head;     // the answer until its empty line
  std::string unsent;   // only what the socket did not take
  std::string payload;  // of a frame that came in pieces
  int opcode = 0;
  FrameReader reader;
  Tally tally;
};

class Sequences {
 public:
  explicit Sequences(const SequenceOptions& options)
      : options_(options),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        scratch_(scratch_bytes),
        sessions_(options.sessions) {
    fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
    epoll_event event{EPOLLIN, {nullptr}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, STDIN_FILENO, &event);
  }

  int run() {
    for (std::size_t n = 0; n < handshakes_at_once; ++n) connect_next();
    epoll_event events[512];
    for (;;) {
      const int count = epoll_wait(epoll_, events, 512, tick_ms);
      for (int n = 0; n < count; ++n) {
        if (events[n].data.ptr != nullptr) {
          turn(*static_cast<Session*>(events[n].data.ptr));
        } else if (!obey()) {
          return 0;
        }
      }
      if (talking_) speak();
    }
  }

 private:
  void connect_next() {
    if (next_ == sessions_.size()) return;
    Session& session = sessions_[next_++];
    session.descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(options_.port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int on = 1;
    setsockopt(session.descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const int result = connect(session.descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address);
    if (session.descriptor < 0 || (result != 0 && errno != EINPROGRESS)) return end(session);
    session.unsent = request;
    epoll_event event{EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {&session}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, session.descriptor, &event);
  }

  void turn(Session& session) {
    if (session.phase == Phase::closed) return;
    if (session.phase == Phase::connecting) session.phase = Phase::awaiting_head;
    if (!flush(session) || !read_all(session)) end(session);
  }

  bool read_all(Session& session) {
    for (;;) {
      const ssize_t size = recv(session.descriptor, scratch_.data(), scratch_.size(), 0);
      if (size < 0 && errno == EAGAIN) return true;
      if (size <= 0 || !take(session, scratch_.data(), static_cast<std::size_t>(size))) return false;
      if (static_cast<std::size_t>(size) < scratch_.size()) return true;
    }
  }

  bool take(Session& session, char* data, std::size_t size) {
    if (session.phase == Phase::open) return deliver(session, data, size);
    session.head.append(data, size);
    const auto end_of_head = session.head.find("\r\n\r\n");
    if (end_of_head == std::string::npos) return session.head.size() < 65536;
    if (session.head.compare(0, 12, "HTTP/1.1 101") != 0) return false;
    std::string rest = session.head.substr(end_of_head + 4);
    std::string().swap(session.head);
    session.phase = Phase::open;
    ++open_;
    settled_one();
    return deliver(session, rest.data(), rest.size());
  }

  // One more connection has come to its 101 or to nothing.
  void settled_one() {
    connect_next();
    if (open_ + never_open_ < sessions_.size()) return;
    std::printf("open %zu\n", open_);
    std::fflush(stdout);
  }

  struct Sink {
    Sequences& owner;
    Session& session;
    bool closed = false;

    void header(const FrameHeader& header) {
      session.opcode = header.opcode;
      closed = closed || header.opcode == opcode_close;
    }
    void payload(const char* data, std::size_t size, bool last) {
      if (size > 0) session.payload.append(data, size);
      if (!last) return;
      if (session.opcode == opcode_ping) owner.put(session, opcode_pong, session.payload);
      if (session.opcode <= opcode_binary) owner.answered(session);
      session.payload.clear();
    }
  };

  bool deliver(Session& session, char* data, std::size_t size) {
    Sink sink{*this, session};
    session.reader.feed(data, size, sink);
    return !sink.closed && flush(session);
  }

  void answered(Session& session) {
    Stamp stamp;
    if (session.payload.size() < sizeof stamp) return;
    std::memcpy(&stamp, session.payload.data(), sizeof stamp);
    const std::int64_t latency = session.tally.take(stamp, now_ns());
    if (!session.tally.affected()) latencies_.push_back(latency);
  }

  void put(Session& session, int opcode, std::string_view payload) {
    append_header(session.unsent, opcode, payload.size(), mask);
    for (std::size_t n = 0; n < payload.size(); ++n)
      session.unsent.push_back(static_cast<char>(payload[n] ^ mask[n & 3]));
  }

  // Everybody's turn comes every `period`, at a time of its own (see talk).
  void speak() {
    const std::int64_t now = now_ns();
    const std::int64_t period = options_.period_ms * 1'000'000LL;
    for (Session& session : sessions_) {
      if (session.phase != Phase::open) continue;
      if (now - session.tally.sent_at() >= period) say(session, now);
    }
  }

  void say(Session& session, std::int64_t now) {
    const Stamp stamp = session.tally.next(now);
    char payload[payload_bytes] = {};
    std::memcpy(payload, &stamp, sizeof stamp);
    put(session, opcode_binary, {payload, sizeof payload});
    if (!flush(session)) end(session);
  }

  static bool flush(Session& session) {
    while (!session.unsent.empty()) {
      const ssize_t sent =
          send(session.descriptor, session.unsent.data(), session.unsent.size(), MSG_NOSIGNAL);
      if (sent < 0) return errno == EAGAIN || errno == ENOTCONN;
      session.unsent.erase(0, static_cast<std::size_t>(sent));
    }
    return true;
  }

  void end(Session& session) {
    const bool was_open = session.phase == Phase::open;
    session.phase = Phase::closed;
    if (session.descriptor >= 0) close(session.descriptor);
    session.descriptor = -1;
    if (was_open) {
      ++closed_;
    } else {
      ++never_open_;
      settled_one();
    }
  }

  // False at the end of stdin.
  bool obey() {
    char line[256];
    const ssize_t size = read(STDIN_FILENO, line, sizeof line - 1);
    if (size == 0) return false;
    if (size < 0) return true;
    line[size] = 0;
    const std::string_view order(line);
    if (order.starts_with("talk")) talk();
    if (order.starts_with("quiet")) talking_ = false;
    if (order.starts_with("mark ")) mark(static_cast<std::uint8_t>(std::strtoul(line + 5, nullptr, 10)));
    if (order.starts_with("report")) report();
    return true;
  }

  // The sessions' turns are spread over the first period.
  void talk() {
    talking_ = true;
    const std::int64_t now = now_ns();
    const std::int64_t period = options_.period_ms * 1'000'000LL;
    const auto count = static_cast<std::int64_t>(sessions_.size());
    for (std::int64_t n = 0; n < count; ++n)
      sessions_[static_cast<std::size_t>(n)].tally.begin_at(now - period + period * n / count);
  }

  // The victim has just been hit: everybody asks at once.
  void mark(std::uint8_t victim) {
    before_.swap(latencies_);
    latencies_.clear();
    const std::int64_t now = now_ns();
    for (Session& session : sessions_) {
      session.tally.mark(victim, now);
      if (session.phase == Phase::open && session.tally.affected()) say(session, now);
    }
  }

  void report() {
    std::size_t affected = 0;
    std::size_t answered = 0;
    std::size_t closed = 0;
    std::uint64_t sent = 0;
    std::uint64_t lost = 0;
    std::uint64_t doubled = 0;
    std::size_t serving[256] = {};  // sessions by the backend that answered last
    std::vector<std::int64_t> pauses;
    for (const Session& session : sessions_) {
      if (session.phase == Phase::open) ++serving[session.tally.backend()];
      sent += session.tally.sent();
      doubled += session.tally.doubled();
      lost += session.tally.lost();
      if (!session.tally.affected()) continue;
      ++affected;
      if (session.phase == Phase::closed) ++closed;
      if (session.phase != Phase::open || !session.tally.answered_since_mark()) continue;
      ++answered;
      pauses.push_back(session.tally.pause());
    }
    std::printf(R"({"sent": %llu, "lost": %llu, "doubled": %llu, "affected": %zu, "answered": %zu, )",
                static_cast<unsigned long long>(sent), static_cast<unsigned long long>(lost),
                static_cast<unsigned long long>(doubled), affected, answered);
    std::printf(R"("closed": %zu, "closed_of_all": %zu, "serving": [%zu, %zu, %zu])", closed, closed_,
                serving[1], serving[2], serving[3]);
    print_quantiles("pause", pauses);
    print_quantiles("before", before_);
    print_quantiles("after", latencies_);
    std::printf("}\n");
    std::fflush(stdout);
  }

  SequenceOptions options_;
  int epoll_;
  std::vector<char> scratch_;
  std::vector<Session> sessions_;
  std::vector<std::int64_t> latencies_;  // since the mark, of sessions that it does not affect
  std::vector<std::int64_t> before_;     // of all sessions, before the mark
  std::size_t next_ = 0;
  std::size_t open_ = 0;
  std::size_t never_open_ = 0;
  std::size_t closed_ = 0;
  bool talking_ = false;
};

}  // namespace

int run_sequences(const SequenceOptions& options) {
  Sequences sequences(options);
  return sequences.run();
}

}  // namespace holdfast::bench
