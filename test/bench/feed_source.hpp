// The source of the feeds bench: one that servers connect to, or one that publishes into a server.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "frames.hpp"
#include "modes.hpp"
#include "upgrade.hpp"

namespace holdfast::bench {

// Messages of one size that look like trades. The sequence number stands at a fixed place; what follows it
// varies, so that a deflater has its usual work.
class Messages {
 public:
  static constexpr std::string_view before = R"({"n":")";
  static constexpr std::size_t digits = 16;  // hexadecimal
  static constexpr std::size_t stamp_bytes = before.size() + digits;

  explicit Messages(std::size_t bytes) {
    std::uint32_t state = 0x2545f491;
    for (std::string& text : texts_) text = make(bytes, state);
  }

  // Valid until this one's turn comes again.
  std::string_view message(std::uint64_t number) {
    std::string& text = texts_[number % texts_.size()];
    for (std::size_t at = 0; at < digits; ++at)
      text[before.size() + at] = "0123456789abcdef"[number >> (4 * (digits - 1 - at)) & 15];
    return text;
  }

  // The number in the first `stamp_bytes` of a message; 0 when it is none of ours.
  static std::uint64_t number_of(const char* stamp) {
    std::uint64_t number = 0;
    for (std::size_t at = before.size(); at < stamp_bytes; ++at) {
      const char c = stamp[at];
      const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
      if (digit < 0) return 0;
      number = number << 4 | static_cast<std::uint64_t>(digit);
    }
    return number;
  }

 private:
  static std::string make(std::size_t bytes, std::uint32_t& state) {
    const auto random = [&state](std::uint32_t below) {
      state = state * 1664525 + 1013904223;
      return (state >> 8) % below;
    };
    std::string text = std::string(before) + std::string(digits, '0') + "\"";
    while (text.size() < bytes) {
      text += R"(,"e":"trade","s":")" + std::string(random(2) == 0 ? "BTC" : "ETH") + R"(USDT","t":)" +
              std::to_string(1'700'000'000 + random(90'000'000)) + R"(,"p":")" +
              std::to_string(20'000 + random(50'000)) + "." + std::to_string(10 + random(90)) +
              R"(","q":"0.)" + std::to_string(10'000 + random(90'000)) + R"(","m":)" +
              (random(2) == 0 ? "true" : "false");
    }
    text.resize(bytes - 1);
    return text + "}";
  }

  std::array<std::string, 64> texts_;
};

// Its descriptors are in the epoll set of whoever owns it, which calls turn() for their events.
class FeedSource {
 public:
  FeedSource(SourceKind kind, int epoll) : kind_(kind), epoll_(epoll) {}
  ~FeedSource() {
    for (const auto& leg : legs_) ::close(leg->descriptor);
    if (listener_ >= 0) ::close(listener_);
  }
  FeedSource(const FeedSource&) = delete;
  FeedSource& operator=(const FeedSource&) = delete;

  // The port that servers connect to; 0 with errno when that is impossible.
  std::uint16_t listen();
  // Publishes into the server on this port of 127.0.0.1; false with errno when that can't begin.
  bool publish_into(std::uint16_t port);

  [[nodiscard]] bool owns(const void* tag) const {
    return tag == this ||
           std::any_of(legs_.begin(), legs_.end(), [tag](const auto& leg) { return leg.get() == tag; });
  }
  void turn(void* tag);
  // A server hears us.
  [[nodiscard]] bool ready() const {
    return std::any_of(legs_.begin(), legs_.end(), [](const auto& leg) { return leg->open; });
  }
  [[nodiscard]] std::uint64_t connections() const { return connections_; }
  [[nodiscard]] std::size_t unsent_bytes() const {
    std::size_t sum = 0;
    for (const auto& leg : legs_) sum += leg->unsent.size() - leg->sent;
    return sum;
  }

  void send(std::string_view text);

 private:
  struct Leg {
    int descriptor = -1;
    bool open = false;   // past its handshake
    std::string head;    // the peer's, until its empty line
    std::string unsent;  // from `sent` on
    std::size_t sent = 0;
  };

  Leg& add(int descriptor);
  void accept_all();
  bool read_all(Leg& leg);
  bool take_head(Leg& leg);
  static bool flush(Leg& leg);
  void drop(Leg& leg);

  SourceKind kind_;
  int epoll_;
  int listener_ = -1;
  std::uint64_t connections_ = 0;
  std::vector<std::unique_ptr<Leg>> legs_;
  std::string frame_;
  std::array<char, 64 * 1024> scratch_{};
};

}  // namespace holdfast::bench
