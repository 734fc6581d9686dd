#pragma once
// A leg in the setup plane: coroutines wait for its readiness with a deadline; `release` gives it to the pump
// plane with nothing of it left behind in this thread.
//
// Reactor and timer learn of a leg at its first wait: most of what is asked of a leg in a handshake needs
// none, and each of the two costs as much as a read.
//
// Thread: the io_context's only one. Destroying it closes the leg.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/error.hpp"
#include "holdfast/net/leg.hpp"
#include "holdfast/net/tls.hpp"

namespace holdfast::net {

class AsyncLeg;

/// Lets somebody else on the same thread give up an operation: wakes the leg that obeys it with
/// Failure::cancelled, and every leg that comes to obey it later.
class GiveUp {
 public:
  void request();
  [[nodiscard]] bool requested() const noexcept { return requested_; }

 private:
  friend class AsyncLeg;
  AsyncLeg* leg_ = nullptr;
  bool requested_ = false;
};

class AsyncLeg {
 public:
  /// `side` names the peer in Errors.
  AsyncLeg(boost::asio::io_context& io, std::unique_ptr<Leg> leg, Side side);
  AsyncLeg(const AsyncLeg&) = delete;
  AsyncLeg& operator=(const AsyncLeg&) = delete;
  ~AsyncLeg();

  /// Every operation begun from now on fails with Failure::timeout once `deadline` has passed; replaces the
  /// deadline before.
  void expires_at(TimePoint deadline) noexcept;

  /// A TLS leg's handshake; a plain leg is done at once.
  [[nodiscard]] boost::asio::awaitable<Result<void>> handshake();
  /// At least one byte, or Failure::eof at the peer's FIN.
  [[nodiscard]] boost::asio::awaitable<Result<std::size_t>> read_some(std::span<std::byte> into);
  /// The same, behind what `bytes` holds already; up to 4 KiB. Short texts of which no more than a few reads
  /// make one: no room is kept for what doesn't come.
  [[nodiscard]] boost::asio::awaitable<Result<std::size_t>> read_onto(std::string& bytes);
  [[nodiscard]] boost::asio::awaitable<Result<void>> write_all(std::string_view bytes);
  /// What the peer answers to what was written can't be here yet: the next read comes after the others' turn.
  void expect_answer() noexcept { answer_follows_ = true; }
  /// SESSIONS.md section 3: close_notify, FIN, discard input until EOF or 2 s. The peer can read our last
  /// words.
  [[nodiscard]] boost::asio::awaitable<void> linger();
  /// Wakes a waiting operation with Failure::cancelled. Same thread.
  void cancel();

  /// From now on `give_up` cancels this leg; null ends that. It outlives the leg or is replaced before its
  /// end.
  void obey(GiveUp* give_up);
  /// Calls `handler(error)` once when something (data or an end) is there to be read, or with an error; never
  /// when the reactor takes no more descriptors.
  template <class Handler>
  void when_readable(Handler handler) {
    if (register_once()) return;
    waiter_.async_wait(boost::asio::posix::descriptor_base::wait_read, std::move(handler));
  }
  /// Whether the peer's FIN or reset has arrived, also behind unread bytes.
  [[nodiscard]] bool peer_is_gone() const noexcept;

  /// Our end of its connection; length 0 if the kernel does not tell.
  [[nodiscard]] config::SocketAddress local_address() const noexcept;

  /// Waits until there is something to read.
  [[nodiscard]] boost::asio::awaitable<Result<void>> readable();
  /// Waits until a connect() in progress has ended.
  [[nodiscard]] boost::asio::awaitable<Result<void>> writable();

  [[nodiscard]] std::unique_ptr<Leg> release();
  [[nodiscard]] Leg& leg() noexcept { return *leg_; }

 private:
  struct Alarm;
  enum class Direction : std::uint8_t { read, write };
  boost::asio::awaitable<Result<void>> wait(Direction direction);
  /// Before each read or write comes `stopped`, and `give_way` where it is due: bytes that never stop coming
  /// must outrun neither the deadline nor the other connections of this thread.
  [[nodiscard]] bool should_give_way() noexcept { return ++unbroken_ >= longest_unbroken; }
  boost::asio::awaitable<void> give_way();
  /// `read` as Leg::read.
  template <class Read>
  boost::asio::awaitable<Result<std::size_t>> read_by(Read read);
  [[nodiscard]] std::optional<Error> stopped() const;
  [[nodiscard]] boost::system::error_code register_once();
  void let_go();
  /// Rings at the deadline, if not earlier: then it sets itself again.
  void set_alarm();
  [[nodiscard]] Error failure(Failure kind, std::string what) const;

  static constexpr std::uint32_t longest_unbroken = 16;

  std::unique_ptr<Leg> leg_;
  boost::asio::posix::stream_descriptor waiter_;
  std::shared_ptr<Alarm> alarm_;  ///< null before the first wait that has a deadline
  TimePoint deadline_ = TimePoint::max();
  GiveUp* give_up_ = nullptr;
  std::uint32_t unbroken_ = 0;  ///< operations since the thread had a chance to do something else
  bool cancelled_ = false;
  bool looked_again_ = false;
  bool answer_follows_ = false;
  Side side_;
};

}  // namespace holdfast::net
