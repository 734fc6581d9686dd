#pragma once
// Descriptors, socket options and the process-wide count of descriptors in use.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "holdfast/base/error.hpp"
#include "holdfast/config/address.hpp"
#include "holdfast/net/leg.hpp"

namespace holdfast::net {

/// How many descriptors connections hold, against what the process may open. Any thread.
class DescriptorBudget {
 public:
  /// `limit` = soft limit of open files; `reserve` is kept for listeners, logs, probes and error answers.
  DescriptorBudget(std::uint64_t limit, std::uint64_t reserve)
      : usable_(limit > reserve ? limit - reserve : 0) {}

  /// Before any other thread uses it: so many more are kept.
  void keep(std::uint64_t more) noexcept { usable_ -= std::min(usable_, more); }

  /// Whether `more` descriptors fit below what is usable.
  [[nodiscard]] bool fits(std::uint32_t more) const noexcept { return used() + more <= usable_; }
  void take() noexcept { used_.fetch_add(1, std::memory_order_relaxed); }
  void give() noexcept { used_.fetch_sub(1, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t used() const noexcept { return used_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t usable() const noexcept { return usable_; }

 private:
  std::uint64_t usable_;
  std::atomic<std::uint64_t> used_{0};
};

/// Owns one descriptor and, once charged, its place in a budget.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int descriptor) noexcept : descriptor_(descriptor) {}
  Socket(Socket&& other) noexcept
      : budget_(std::exchange(other.budget_, nullptr)), descriptor_(std::exchange(other.descriptor_, -1)) {}
  Socket& operator=(Socket&& other) noexcept;
  ~Socket() { reset(); }

  void charge(DescriptorBudget& budget) noexcept;
  /// Its descriptor and its budget, which the caller now has to close and to give back to; and the way back.
  struct Parts {
    DescriptorBudget* budget = nullptr;
    int descriptor = -1;
  };
  explicit Socket(Parts parts) noexcept : budget_(parts.budget), descriptor_(parts.descriptor) {}
  [[nodiscard]] Parts take_apart() noexcept {
    return {std::exchange(budget_, nullptr), std::exchange(descriptor_, -1)};
  }
  [[nodiscard]] int get() const noexcept { return descriptor_; }
  explicit operator bool() const noexcept { return descriptor_ >= 0; }
  void reset() noexcept;

 private:
  DescriptorBudget* budget_ = nullptr;
  int descriptor_ = -1;  ///< last: a leg has something of its own behind it
};

/// Raises the soft limit of open files to the hard one; returns the limit in force.
std::uint64_t raise_descriptor_limit() noexcept;

/// Whether several sockets may share the address (one per setup thread).
enum class Sharing : std::uint8_t { exclusive, reuse_port };

/// A non-blocking listening socket. Unix paths: a stale socket file is removed first.
[[nodiscard]] Result<Socket> listen_on(const config::SocketAddress& address, Sharing sharing);

/// A non-blocking socket on which connect() has been called; `connect_outcome` tells what became of it.
/// `source`: where it comes from, of the same family; null = the kernel chooses.
[[nodiscard]] Result<Socket> start_connect(const config::SocketAddress& address,
                                           const config::SocketAddress* source = nullptr);
/// 0: connected; EALREADY: under way, ask again when writable; else the errno of the failure, once.
[[nodiscard]] int connect_outcome(int descriptor, const config::SocketAddress& address) noexcept;

/// TCP_NODELAY on a TCP socket, nothing on others.
void set_no_delay(const Socket& socket) noexcept;

/// "192.0.2.1:443", "[2001:db8::1]:443", "unix:/path" or "unix:" for an unnamed peer.
[[nodiscard]] std::string to_text(const config::SocketAddress& address);
/// As above without the port and without brackets; "unix:" for unix sockets (for X-Forwarded-For).
[[nodiscard]] std::string host_text(const config::SocketAddress& address);
[[nodiscard]] config::SocketAddress local_address(int descriptor) noexcept;
[[nodiscard]] inline config::SocketAddress local_address(const Socket& socket) noexcept {
  return local_address(socket.get());
}
/// Right after a connect(): writes all of `bytes`, a few hundred, or fails.
[[nodiscard]] Result<void> write_first(int descriptor, std::string_view bytes);

[[nodiscard]] std::unique_ptr<Leg> make_plain_leg(Socket socket);
/// The same leg in a block of the calling thread: among the short-lived blocks of the thread that has made
/// it, one that lives for hours keeps a page. Others than plain ones stay as they are.
[[nodiscard]] std::unique_ptr<Leg> rehouse(std::unique_ptr<Leg> leg);

}  // namespace holdfast::net
