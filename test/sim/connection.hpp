#pragma once
// One transport connection between the proxy and a peer, without a kernel: what the proxy's leg has taken and
// the peer has not read yet, what the peer has written and how much of it has arrived, how it ends. The leg
// that the proxy gets is the only view that the proxy has.
//
// Lifetime: longer than its leg's.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/net/loop.hpp"
#include "sim/random.hpp"
#include "sim/verdict.hpp"

namespace holdfast::sim {

/// Descriptors that epoll takes and that nothing ever happens to; used again and again.
class Descriptors {
 public:
  Descriptors();
  Descriptors(const Descriptors&) = delete;
  Descriptors& operator=(const Descriptors&) = delete;
  ~Descriptors();
  [[nodiscard]] int get();
  void put(int descriptor) { free_.push_back(descriptor); }

 private:
  int event_;
  std::vector<int> free_;
};

/// How a peer's side of a connection ends.
enum class Ending : std::uint8_t {
  none,
  fin,    ///< it writes no more
  reset,  ///< nothing goes either way any more
};

class Connection {
 public:
  struct Surroundings {
    net::Loop& loop;
    Descriptors& descriptors;
    Random& random;
    Verdict& verdict;
  };
  /// `window`: bytes that the proxy's leg takes before the peer has read any.
  Connection(Surroundings around, std::string name, std::size_t window);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  [[nodiscard]] std::unique_ptr<net::Leg> make_leg();

  // --- the peer's process ---
  std::string up;  ///< all that it has written
  /// Up to `most` bytes that the leg has taken.
  [[nodiscard]] std::string_view read(std::size_t most);
  [[nodiscard]] std::uint64_t unread() const noexcept {
    return std::min<std::uint64_t>(down_.size(), arrives_) - read_;
  }
  /// All that the leg has taken, read or not, also what a reset has thrown away.
  [[nodiscard]] std::string_view taken() const noexcept { return down_; }
  [[nodiscard]] std::uint64_t read_bytes() const noexcept { return read_; }
  /// The proxy writes no more, and everything is read.
  [[nodiscard]] bool at_end() const noexcept { return (finished_ || gone_) && unread() == 0; }

  // --- the network ---
  /// Up to `most` bytes more reach the proxy; with the last one the end.
  void arrive(std::size_t most);
  [[nodiscard]] std::uint64_t on_its_way() const noexcept { return up.size() - arrived_; }
  [[nodiscard]] std::uint64_t arrived() const noexcept { return arrived_; }
  [[nodiscard]] std::uint64_t got_by_proxy() const noexcept { return got_; }
  /// The first bytes of `up` went along with the handshake.
  void came_early(std::size_t bytes) noexcept { got_ = arrived_ = bytes; }
  void acknowledge();
  /// After what is in `up`; for a reset the rest of `up` and of what is unread is lost.
  void end(Ending how);
  /// Nothing passes any more, nobody acknowledges.
  /// The process is gone: data that still comes for it is answered with a reset.
  void process_gone() noexcept { reads_no_more_ = true; }
  void break_wire() noexcept { wire_broken_ = true; }
  [[nodiscard]] Ending ending() const noexcept { return ending_; }
  [[nodiscard]] bool end_arrived() const noexcept { return end_arrived_; }
  /// Once a step.
  void tell_time(Tick now) noexcept;

  // --- what epoll would say ---
  [[nodiscard]] bool has_event() const noexcept { return leg_ != nullptr && registered_ && edge_; }
  [[nodiscard]] net::Readiness take_event() noexcept;
  [[nodiscard]] net::Leg* leg() const noexcept;
  [[nodiscard]] bool proxy_finished() const noexcept { return finished_ || gone_; }
  [[nodiscard]] bool gone() const noexcept { return gone_; }
  /// The leg was destroyed with something to be written, or so that something written was lost.
  [[nodiscard]] bool cut_off() const noexcept { return cut_off_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

 private:
  class FakeLeg;
  [[nodiscard]] bool is_reset() const noexcept { return end_arrived_ && ending_ == Ending::reset; }
  net::IoResult leg_reads(std::span<std::byte> into) noexcept;
  net::IoResult leg_writes(std::string_view bytes) noexcept;
  void leg_gone() noexcept;
  void registered() noexcept;

  Surroundings around_;
  std::string name_;
  std::size_t window_;
  FakeLeg* leg_ = nullptr;
  std::string down_;                    ///< all that the leg has taken
  std::string owed_;                    ///< what the leg did not take: the next write begins with it
  std::uint64_t arrives_ = UINT64_MAX;  ///< after a reset: how much of `down_` ever can
  std::uint64_t read_ = 0;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t arrived_ = 0;
  std::uint64_t got_ = 0;
  Tick now_ = 0;
  Tick acknowledged_at_ = 0;
  Ending ending_ = Ending::none;
  bool end_arrived_ = false;
  bool finished_ = false;  ///< the proxy has written its FIN
  bool gone_ = false;      ///< the leg was destroyed
  bool wire_broken_ = false;
  bool cut_off_ = false;
  bool corked_ = false;
  bool ends_now_ = false;  ///< its FIN was left to its end
  bool aborted_ = false;   ///< a reset follows when the leg is destroyed
  bool registered_ = false;
  bool blocked_ = false;  ///< a write was not taken whole
  bool reads_no_more_ = false;
  bool edge_ = false;
  bool edge_readable_ = false;
  bool edge_writable_ = false;
};

}  // namespace holdfast::sim
