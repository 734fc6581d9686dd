#pragma once
// Clients of a feed without a kernel.

#include <doctest/doctest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>

#include "holdfast/net/leg.hpp"

namespace holdfast::feed::test {

/// A client without a socket: what it was sent, how much of that it has read, what it says.
struct Client {
  std::string channel;
  std::string wire;        ///< all that the proxy has written
  std::size_t window = 0;  ///< what the kernel takes beyond what was read
  std::size_t read = 0;
  std::string says;
  std::string must_repeat;  ///< what the next write begins with (TLS)
  std::size_t committed = 0;
  bool stalled = false;
  bool gone = false;        ///< it has closed its end
  bool blocked = false;     ///< an edge is due once there is room
  bool spoke = false;       ///< an edge is due
  net::Leg* leg = nullptr;  ///< null: the proxy has closed it
};

class FakeLeg final : public net::Leg {
 public:
  explicit FakeLeg(Client& client) : client_(client), descriptor_(eventfd(0, EFD_CLOEXEC)) {
    client.leg = this;
  }
  ~FakeLeg() override {
    client_.leg = nullptr;
    close(descriptor_);
  }
  net::IoResult read(std::span<std::byte> into) noexcept override {
    const std::size_t bytes = std::min(into.size(), client_.says.size());
    std::memcpy(into.data(), client_.says.data(), bytes);
    client_.says.erase(0, bytes);
    if (client_.gone && client_.says.empty()) return {bytes, net::IoState::end};
    return {bytes, net::IoState::drained};
  }
  net::IoResult write(std::span<const std::byte> bytes) noexcept override {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const std::size_t compared = std::min(text.size(), client_.must_repeat.size());
    CHECK(text.substr(0, compared) == client_.must_repeat.substr(0, compared));
    const std::size_t room = client_.window - std::min(client_.window, client_.wire.size() - client_.read);
    const std::size_t taken = std::min(room, text.size());
    client_.wire += text.substr(0, taken);
    client_.must_repeat.clear();
    if (taken == text.size()) return {taken, net::IoState::more};
    client_.must_repeat = text.substr(taken, client_.committed);
    client_.blocked = true;
    return {taken, net::IoState::drained};
  }
  [[nodiscard]] std::size_t committed_bytes() const noexcept override { return client_.committed; }
  void finish_writing() noexcept override {}
  net::IoState discard() noexcept override {
    client_.says.clear();
    return client_.gone ? net::IoState::end : net::IoState::drained;
  }
  net::Liveness liveness() const noexcept override { return {}; }
  void abort() noexcept override {}
  void use_scratch(net::CipherScratch&) noexcept override {}

 private:
  int descriptor() const noexcept override { return descriptor_; }
  Client& client_;
  int descriptor_;
};

}  // namespace holdfast::feed::test
