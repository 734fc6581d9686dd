// The clients of the feeds bench. Source and clients share a thread and a clock: a message's number tells
// when it was sent, and how many messages are on their way is known without asking the server.
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "feed_source.hpp"
#include "flight.hpp"
#include "frames.hpp"
#include "inflater.hpp"
#include "modes.hpp"
#include "wire.hpp"

namespace holdfast::bench {
namespace {

constexpr std::size_t scratch_bytes = 256 * 1024;
constexpr std::size_t handshakes_at_once = 64;
constexpr int stalled_receive_bytes = 8 * 1024;
constexpr std::int64_t second_ns = 1'000'000'000;
// Clients look for messages so often, not at each one's arrival: waking up for it would be work for the
// server's CPU that clients on other machines don't make. Latencies are so much coarser.
constexpr std::int64_t look_every_ns = 250'000;
constexpr std::int64_t patience_ns = 2 * second_ns;  // without a delivery; then what is under way is lost
constexpr char mask[4] = {0x11, 0x5a, 0x3c, 0x77};
constexpr std::string_view feed_request =
    "GET /feed/bench HTTP/1.1\r\nHost: bench.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
constexpr std::string_view deflate_offer =
    "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
    "client_no_context_takeover\r\n";

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

double own_cpu_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

enum class Phase { connecting, awaiting_head, open, stalled, lost };

struct Client {
  Wire wire;
  Phase phase = Phase::connecting;
  bool healthy = true;
  bool compressed = false;  // the message that arrives
  std::uint64_t next = 1;   // the message that it waits for
  std::size_t stamp_bytes = 0;
  char stamp[Messages::stamp_bytes] = {};  // of the message that arrives in pieces
  std::string pieces;                      // of a deflated one
  std::string head;                        // the answer until its empty line
  FrameReader reader;
};

class Feed {
 public:
  explicit Feed(const FeedOptions& options)
      : options_(options),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        messages_(options.message_bytes),
        source_(options.source, epoll_),
        flight_(options.clients - options.stalled),
        scratch_(scratch_bytes),
        clients_(options.clients) {
    request_ = std::string(feed_request);
    if (options.compression == Compression::deflate) request_ += deflate_offer;
    request_ += "\r\n";
    if (options.transport == Transport::tls) tls_ = make_client_context();
    // Evenly among the others, so that no thread of a server gets all of them.
    for (std::size_t n = 0; n < options.stalled; ++n)
      clients_[n * options.clients / options.stalled].healthy = false;
    prctl(PR_SET_TIMERSLACK, 1000);
  }

  int run() {
    int port = 0;
    if (options_.source == SourceKind::serve && (port = source_.listen()) == 0) {
      std::perror("feed: listen");
      return 1;
    }
    std::printf("port %d\n", port);
    std::fflush(stdout);
    epoll_event event{EPOLLIN, {nullptr}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, STDIN_FILENO, &event);
    reset();
    while (!ended_) {
      wait(speak());
      if (lost_ > 0 && lost_ > allowed_losses()) {
        std::fprintf(stderr, "feed: lost %zu connections, the last: %s\n", lost_, std::strerror(errno));
        return 1;
      }
    }
    return 0;
  }

 private:
  // A server may well close a client that never reads.
  [[nodiscard]] std::size_t allowed_losses() const { return clients_.size() == open_ ? options_.stalled : 0; }

  // Says what is to be said now; returns how long there is nothing to say.
  std::int64_t speak() {
    const std::int64_t now = now_ns();
    if (flight_.outstanding() > 0 && now - progress_ > patience_ns) flight_.give_up();
    if (pausing_ && flight_.outstanding() == 0) {
      pausing_ = false;
      answer("paused " + std::to_string(missing()));
    }
    if (!source_.ready()) return second_ns / 100;
    while (window_ > flight_.outstanding()) say(now_ns());
    if (rate_ == 0) return second_ns / 10;
    while (due(said_) <= now_ns() && !flight_.full() && flight_.outstanding() < limit_) say(due(said_));
    if (flight_.outstanding() >= limit_) return second_ns / 10;  // whoever settles one wakes us
    return std::clamp<std::int64_t>(due(said_) - now_ns(), 0, second_ns / 10);
  }

  void say(std::int64_t when) {
    if (flight_.outstanding() == 0) progress_ = now_ns();
    ++said_;
    source_.send(messages_.message(flight_.begin(when)));
  }

  // When a paced message is meant to leave.
  [[nodiscard]] std::int64_t due(std::uint64_t number) const {
    const std::uint64_t whole = number / rate_;
    const std::uint64_t rest = number % rate_;
    return paced_since_ + static_cast<std::int64_t>(whole * second_ns + rest * second_ns / rate_);
  }

  void wait(std::int64_t at_most_ns) {
    epoll_event events[1024];
    const timespec patience{at_most_ns / second_ns, at_most_ns % second_ns};
    const int count = epoll_pwait2(epoll_, events, 1024, &patience, nullptr);
    const std::int64_t looked = now_ns();
    for (int n = 0; n < count; ++n) {
      void* tag = events[n].data.ptr;
      if (tag >= clients_.data() && tag < clients_.data() + clients_.size()) {
        turn(*static_cast<Client*>(tag));
      } else if (tag == nullptr) {
        read_orders();
      } else if (source_.owns(tag)) {
        source_.turn(tag);
      }
    }
    const std::int64_t rest = looked + look_every_ns - now_ns();
    if (count == 1024 || open_ < clients_.size() || rest <= 0) return;
    const timespec nap{0, rest};
    nanosleep(&nap, nullptr);
  }

  void read_orders() {
    char bytes[4096];
    const ssize_t size = read(STDIN_FILENO, bytes, sizeof bytes);
    if (size <= 0) ended_ = true;
    if (size > 0) orders_.append(bytes, static_cast<std::size_t>(size));
    for (auto end = orders_.find('\n'); end != std::string::npos; end = orders_.find('\n')) {
      const std::string line = orders_.substr(0, end);
      orders_.erase(0, end + 1);
      const auto space = std::min(line.find(' '), line.size());
      char* rest = nullptr;
      const std::uint64_t first = std::strtoul(line.c_str() + space, &rest, 10);
      obey(line.substr(0, space), first, std::strtoul(rest, nullptr, 10));
    }
  }

  void obey(std::string_view order, std::uint64_t number, std::uint64_t second) {
    if (order == "connect") {
      if (options_.source != SourceKind::serve && !source_.publish_into(static_cast<std::uint16_t>(second)))
        ++lost_;
      return connect_all(static_cast<std::uint16_t>(number));
    }
    if (order == "report") return report();
    if (order == "pause") pausing_ = true;
    if (order == "window" || order == "pace" || order == "pause") {
      window_ = order == "window" ? number : 0;
      rate_ = order == "pace" ? number : 0;
      limit_ = second > 0 ? second : std::numeric_limits<std::uint64_t>::max();
      said_ = 0;
      paced_since_ = now_ns();
    }
    if (order == "reset") reset();
    if (order != "pause") answer("ok");
  }

  void connect_all(std::uint16_t port) {
    port_ = port;
    for (std::size_t n = 0; n < handshakes_at_once; ++n) connect_next();
  }

  void connect_next() {
    if (begun_ == clients_.size()) return;
    Client& client = clients_[begun_++];
    if (!client.wire.begin(port_, tls_.get())) return lose(client);
    if (!client.healthy) client.wire.limit_receiving(stalled_receive_bytes);
    client.wire.read_flights();
    client.wire.watch(epoll_, &client);
  }

  void turn(Client& client) {
    if (client.phase == Phase::stalled || client.phase == Phase::lost) return;
    if (client.phase == Phase::connecting) {
      const Io state = client.wire.handshake();
      if (state == Io::failed) lose(client);
      if (state != Io::done) return;
      // A fresh connection takes so little at once; 0 = not even connected.
      const ssize_t sent = client.wire.send_some(request_);
      if (sent < 0) lose(client);
      if (sent <= 0) return;
      client.phase = Phase::awaiting_head;
    }
    if (!read_all(client)) lose(client);
  }

  bool read_all(Client& client) {
    for (;;) {
      const ssize_t size = client.wire.receive(scratch_.data(), scratch_.size());
      if (size <= 0) return size == 0;
      if (!take(client, scratch_.data(), static_cast<std::size_t>(size))) return false;
      if (client.phase == Phase::stalled) return true;
      // A short read has emptied a plain socket, whose next bytes make a new edge.
      if (options_.transport == Transport::plain && static_cast<std::size_t>(size) < scratch_.size())
        return true;
    }
  }

  bool take(Client& client, char* data, std::size_t size) {
    if (client.phase == Phase::open) return deliver(client, data, size);
    client.head.append(data, size);
    const auto end = client.head.find("\r\n\r\n");
    if (end == std::string::npos) return client.head.size() < 65536;
    if (!client.head.starts_with("HTTP/1.1 101")) return false;
    const bool agreed = client.head.find("permessage-deflate") != std::string::npos;
    if (agreed) ++deflating_;
    std::string rest = client.head.substr(end + 4);
    std::string().swap(client.head);
    client.phase = client.healthy ? Phase::open : Phase::stalled;
    if (++open_ == clients_.size()) answer("open " + std::to_string(open_));
    connect_next();
    return deliver(client, rest.data(), rest.size());
  }

  struct Sink {
    Feed& owner;
    Client& client;
    std::int64_t now;
    int opcode = 0;
    bool closed = false;
    std::string ping = {};

    void header(const FrameHeader& header) {
      opcode = header.opcode;
      closed = closed || opcode == opcode_close;
      if (opcode != opcode_text && opcode != opcode_binary) return;
      client.stamp_bytes = 0;
      client.compressed = header.compressed;
    }
    void payload(const char* data, std::size_t size, bool last) {
      if (opcode > opcode_binary) {
        if (opcode == opcode_ping && size > 0) ping.append(data, size);
        if (opcode == opcode_ping && last) owner.pong(client, ping);
        return;
      }
      if (client.compressed) return owner.deflated(client, data, size, last, now);
      if (last && client.stamp_bytes == 0 && size >= Messages::stamp_bytes)
        return owner.arrived(client, data, now);
      const std::size_t part = std::min(size, sizeof client.stamp - client.stamp_bytes);
      std::copy_n(data, part, client.stamp + client.stamp_bytes);
      client.stamp_bytes += part;
      if (last) owner.arrived(client, client.stamp, now);
    }
  };

  bool deliver(Client& client, char* data, std::size_t size) {
    if (client.phase == Phase::stalled) return true;
    received_bytes_ += size;
    Sink sink{*this, client, now_ns()};
    client.reader.feed(data, size, sink);
    return !sink.closed;
  }

  void deflated(Client& client, const char* data, std::size_t size, bool last, std::int64_t now) {
    const bool whole = last && client.pieces.empty();
    if (!whole && size > 0) client.pieces.append(data, size);
    if (!last) return;
    const std::string_view text =
        inflater_.inflate(whole ? std::string_view(data, size) : std::string_view(client.pieces));
    client.pieces.clear();
    if (text.size() != options_.message_bytes) {
      ++broken_;
    } else {
      arrived(client, text.data(), now);
    }
  }

  void arrived(Client& client, const char* stamp, std::int64_t now) {
    progress_ = now;
    client.next = flight_.arrive(client.next, Messages::number_of(stamp), now);
  }

  void pong(Client& client, std::string_view payload) {
    std::string frame;
    append_header(frame, opcode_pong, payload.size(), mask);
    for (std::size_t n = 0; n < payload.size(); ++n)
      frame.push_back(static_cast<char>(payload[n] ^ mask[n & 3]));
    client.wire.send_some(frame);
  }

  void lose(Client& client) {
    if (client.phase == Phase::lost) return;
    ++lost_;
    client.phase = Phase::lost;
    client.wire.shut();
  }

  [[nodiscard]] std::uint64_t missing() const {
    std::uint64_t sum = 0;
    for (const Client& client : clients_)
      if (client.healthy) sum += flight_.last() + 1 - client.next;
    return sum;
  }

  void reset() {
    flight_.reset();
    received_bytes_ = 0;
    since_ = now_ns();
    cpu_since_ = own_cpu_seconds();
  }

  // `cpu` = the share of a core that this process took; `backlog` = bytes that the server has not taken from
  // the source; `closed` = stalled clients whose connection the server ended.
  void report() {
    const FeedTally& tally = flight_.tally();
    const double seconds = static_cast<double>(now_ns() - since_) / 1e9;
    const auto number = [](auto value) { return static_cast<unsigned long long>(value); };
    std::printf(
        R"({"seconds": %.4f, "sent": %llu, "deliveries": %llu, "skipped": %llu, "doubled": %llu, "broken": %llu)",
        seconds, number(tally.sent), number(tally.deliveries), number(tally.skipped), number(tally.doubled),
        number(broken_));
    std::printf(
        R"(, "bytes": %llu, "deflating": %llu, "closed": %llu, "backlog": %llu, "source_connections": %llu)",
        number(received_bytes_), number(deflating_), number(lost_), number(source_.unsent_bytes()),
        number(source_.connections()));
    std::printf(R"(, "cpu": %.4f)", (own_cpu_seconds() - cpu_since_) / seconds);
    tally.latency.print("latency");
    tally.spread.print("spread");
    std::printf("}\n");
    std::fflush(stdout);
  }

  static void answer(const std::string& line) {
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
  }

  FeedOptions options_;
  int epoll_;
  Messages messages_;
  FeedSource source_;
  Flight flight_;
  Inflater inflater_;
  std::vector<char> scratch_;
  std::vector<Client> clients_;
  TlsContext tls_;
  std::string request_;
  std::string orders_;
  std::uint16_t port_ = 0;
  bool ended_ = false;
  bool pausing_ = false;
  std::uint64_t window_ = 0;
  std::uint64_t rate_ = 0;
  std::uint64_t limit_ = 0;  // of what a pace may have on its way
  std::uint64_t said_ = 0;   // since window or pace began
  std::int64_t paced_since_ = 0;
  std::int64_t progress_ = 0;  // the last delivery
  std::int64_t since_ = 0;     // the last reset
  double cpu_since_ = 0;
  std::uint64_t received_bytes_ = 0;
  std::uint64_t broken_ = 0;  // deflated messages that don't inflate to their size
  std::size_t deflating_ = 0;
  std::size_t begun_ = 0;
  std::size_t open_ = 0;
  std::size_t lost_ = 0;
};

}  // namespace

int run_feed(const FeedOptions& options) {
  if (options.clients == 0 || options.stalled >= options.clients || options.message_bytes < 32) {
    std::fputs("feed: a healthy client, and messages of 32 bytes are the least\n", stderr);
    return 1;
  }
  return Feed(options).run();
}

}  // namespace holdfast::bench
