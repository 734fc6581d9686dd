// The open loop of the bench: messages leave at fixed times whatever comes back, and latency counts from the
// time at which a message was meant to leave. So a stall delays all that follow it, as it would users
// (no coordinated omission).
#include <sys/epoll.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "frames.hpp"
#include "modes.hpp"
#include "tally.hpp"
#include "wire.hpp"

namespace holdfast::bench {
namespace {

constexpr std::size_t scratch_bytes = 256 * 1024;
constexpr std::size_t handshakes_at_once = 64;
constexpr std::int64_t second_ns = 1'000'000'000;
constexpr std::int64_t warm_up_ns = second_ns;
constexpr std::int64_t patience_ns = 10 * second_ns;  // for the last answers
constexpr char mask[4] = {0x11, 0x5a, 0x3c, 0x77};

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

enum class Phase { connecting, awaiting_head, open, lost };

struct Client {
  Wire wire;
  Phase phase = Phase::connecting;
  std::string head;    // the answer until its empty line
  std::string unsent;  // only what the socket did not take
  std::size_t stamp_bytes = 0;
  char stamp[sizeof(std::uint64_t)] = {};  // of the message that arrives
  FrameReader reader;
};

class Paced {
 public:
  explicit Paced(const PacedOptions& options)
      : options_(options),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        scratch_(scratch_bytes),
        clients_(options.connections),
        total_(options.rate * (options.seconds + warm_up_ns / second_ns)) {
    append_header(frame_, opcode_binary, options.message_bytes, mask);
    payload_at_ = frame_.size();
    for (std::size_t n = 0; n < options.message_bytes; ++n)
      frame_.push_back(static_cast<char>('a' ^ mask[n & 3]));
    if (options.transport == Transport::tls) tls_ = make_client_context();
    latencies_.reserve(total_);
    lateness_.reserve(total_);
    prctl(PR_SET_TIMERSLACK, 1000);
  }

  int run() {
    for (std::size_t n = 0; n < handshakes_at_once; ++n) connect_next();
    while (open_ < clients_.size() && lost_ == 0) wait(second_ns);
    if (lost_ > 0) return complain();
    std::printf("open %zu\n", open_);
    std::fflush(stdout);
    begin_ = now_ns() + 10'000'000;
    while (sent_ < total_ && lost_ == 0) {
      const std::int64_t now = now_ns();
      while (sent_ < total_ && due(sent_) <= now) say();
      if (sent_ < total_) wait(std::max<std::int64_t>(0, due(sent_) - now_ns()));
    }
    const std::int64_t end = now_ns() + patience_ns;
    while (answered_ < sent_ && lost_ == 0 && now_ns() < end) wait(second_ns / 10);
    if (lost_ > 0) return complain();
    report();
    return 0;
  }

 private:
  // When a message is meant to leave.
  [[nodiscard]] std::int64_t due(std::uint64_t number) const {
    const std::uint64_t whole = number / options_.rate;
    const std::uint64_t rest = number % options_.rate;
    return begin_ + static_cast<std::int64_t>(whole * second_ns + rest * second_ns / options_.rate);
  }

  int complain() const {
    std::fprintf(stderr, "paced: lost a connection: %s\n", std::strerror(errno));
    return 1;
  }

  void wait(std::int64_t at_most_ns) {
    epoll_event events[256];
    const timespec patience{at_most_ns / second_ns, at_most_ns % second_ns};
    const int count = epoll_pwait2(epoll_, events, 256, &patience, nullptr);
    for (int n = 0; n < count; ++n) turn(*static_cast<Client*>(events[n].data.ptr));
  }

  void connect_next() {
    if (next_ == clients_.size()) return;
    Client& client = clients_[next_++];
    if (!client.wire.begin(options_.port, tls_.get())) return lose(client);
    client.unsent = request;
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
      if (!take(client, scratch_.data(), static_cast<std::size_t>(size))) return false;
    }
  }

  bool take(Client& client, char* data, std::size_t size) {
    if (client.phase == Phase::open) return deliver(client, data, size);
    client.head.append(data, size);
    const auto end = client.head.find("\r\n\r\n");
    if (end == std::string::npos) return client.head.size() < 65536;
    if (!client.head.starts_with("HTTP/1.1 101")) return false;
    std::string rest = client.head.substr(end + 4);
    std::string().swap(client.head);
    client.phase = Phase::open;
    ++open_;
    connect_next();
    return deliver(client, rest.data(), rest.size());
  }

  struct Sink {
    Paced& owner;
    Client& client;
    int opcode = 0;
    std::string ping = {};
    bool closed = false;

    void header(const FrameHeader& header) {
      opcode = header.opcode;
      closed = closed || opcode == opcode_close;
      if (opcode <= opcode_binary) client.stamp_bytes = 0;
    }
    void payload(const char* data, std::size_t size, bool last) {
      if (opcode == opcode_ping && size > 0) ping.append(data, size);
      if (opcode == opcode_ping && last) owner.pong(client, ping);
      if (opcode > opcode_binary) return;
      const std::size_t part = std::min(size, sizeof client.stamp - client.stamp_bytes);
      std::copy_n(data, part, client.stamp + client.stamp_bytes);
      client.stamp_bytes += part;
      if (last) owner.answered(client);
    }
  };

  bool deliver(Client& client, char* data, std::size_t size) {
    Sink sink{*this, client};
    client.reader.feed(data, size, sink);
    return !sink.closed && flush(client);
  }

  void answered(const Client& client) {
    std::uint64_t number = 0;
    std::memcpy(&number, client.stamp, sizeof number);
    ++answered_;
    if (due(number) >= begin_ + warm_up_ns) latencies_.push_back(now_ns() - due(number));
  }

  // The connections take turns.
  void say() {
    Client& client = clients_[sent_ % clients_.size()];
    char stamp[sizeof sent_];
    std::memcpy(stamp, &sent_, sizeof sent_);
    for (std::size_t n = 0; n < sizeof stamp; ++n)
      frame_[payload_at_ + n] = static_cast<char>(stamp[n] ^ mask[n & 3]);
    if (due(sent_) >= begin_ + warm_up_ns) lateness_.push_back(now_ns() - due(sent_));
    ++sent_;
    if (client.phase == Phase::open && !put(client, frame_)) lose(client);
  }

  bool pong(Client& client, std::string_view payload) {
    std::string frame;
    append_header(frame, opcode_pong, payload.size(), mask);
    for (std::size_t n = 0; n < payload.size(); ++n)
      frame.push_back(static_cast<char>(payload[n] ^ mask[n & 3]));
    return put(client, frame);
  }

  static bool put(Client& client, std::string_view data) {
    client.unsent += data;
    return flush(client);
  }

  static bool flush(Client& client) {
    while (!client.unsent.empty()) {
      const ssize_t sent = client.wire.send_some(client.unsent);
      if (sent <= 0) return sent == 0;
      client.unsent.erase(0, static_cast<std::size_t>(sent));
    }
    return true;
  }

  void lose(Client& client) {
    ++lost_;
    client.phase = Phase::lost;
    client.wire.shut();
  }

  void report() {
    std::printf(R"({"sent": %llu, "unanswered": %llu)", static_cast<unsigned long long>(sent_),
                static_cast<unsigned long long>(sent_ - answered_));
    print_quantiles("latency", latencies_);
    print_quantiles("lateness", lateness_);
    std::printf("}\n");
    std::fflush(stdout);
  }

  PacedOptions options_;
  int epoll_;
  std::vector<char> scratch_;
  std::vector<Client> clients_;
  TlsContext tls_;
  std::string frame_;  // the first 8 bytes of its payload are the message's number
  std::size_t payload_at_ = 0;
  std::uint64_t total_;
  std::uint64_t sent_ = 0;
  std::uint64_t answered_ = 0;
  std::int64_t begin_ = 0;
  std::vector<std::int64_t> latencies_;
  std::vector<std::int64_t> lateness_;  // our own: how long after its time a message left
  std::size_t next_ = 0;
  std::size_t open_ = 0;
  std::size_t lost_ = 0;
};

}  // namespace

int run_paced(const PacedOptions& options) {
  if (options.rate == 0 || options.connections == 0 || options.message_bytes < sizeof(std::uint64_t)) {
    std::fputs("paced: a rate, a connection, and messages of 8 bytes are the least\n", stderr);
    return 1;
  }
  Paced paced(options);
  return paced.run();
}

}  // namespace holdfast::bench
