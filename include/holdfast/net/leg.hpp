#pragma once
// One transport connection of a session, towards the client or towards a backend. Both planes use the same
// object: the setup plane through AsyncLeg, the pump plane through Loop. The interface is narrow so that
// another record layer or an HTTP/2 stream can be a leg later; nobody outside `net` sees a descriptor.
//
// Thread: one at a time; handed over whole between planes. Errors are states, nothing throws.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace holdfast::net {

enum class IoState : std::uint8_t {
  more,     ///< there may be more to read, or everything was taken for writing
  drained,  ///< nothing more now: wait for the next edge
  end,      ///< read only: the peer has finished writing (FIN or close_notify)
  failed,   ///< the connection is dead (reset, TLS error); for writing: nothing will ever leave again
};

/// `bytes` were moved before `state` was met; a read may give bytes and an end at once.
struct IoResult {
  std::size_t bytes = 0;
  IoState state = IoState::drained;
};

/// What the kernel knows about a silent peer (struct tcp_info); all zero for transports without it.
struct Liveness {
  std::uint32_t unacknowledged = 0;     ///< segments in flight
  std::uint32_t since_last_ack_ms = 0;  ///< age of the last acknowledgement received
  std::uint32_t unanswered_probes = 0;  ///< zero-window probes without an answer
  std::uint32_t unacknowledged_bytes =
      0;  ///< handed to the kernel, not acknowledged; told after a reset, too
};

/// Ciphertext of one turn, shared by all TLS legs of a pump thread; empty between turns.
struct CipherScratch {
  static constexpr std::size_t capacity = 64 * 1024;
  std::unique_ptr<std::byte[]> bytes = std::make_unique<std::byte[]>(capacity);
  std::size_t begin = 0;
  std::size_t end = 0;
  std::vector<std::byte> sealed;  ///< several records of one write
};

class Leg {
 public:
  /// The largest number of bytes that one `read` can give; offer at least so much room in the pump plane.
  static constexpr std::size_t read_batch_bytes = CipherScratch::capacity + 17 * 1024;

  Leg(const Leg&) = delete;
  Leg& operator=(const Leg&) = delete;
  virtual ~Leg() =
      default;  ///< closes at once; unsent bytes of the kernel still leave unless unread input is waiting

  /// Reads one batch. `into` ≥ read_batch_bytes guarantees that a TLS leg leaves no ciphertext in the shared
  /// scratch.
  [[nodiscard]] virtual IoResult read(std::span<std::byte> into) noexcept = 0;

  /// Writes what goes. After `drained` the next write must begin with the very bytes that were not taken.
  [[nodiscard]] virtual IoResult write(std::span<const std::byte> bytes) noexcept = 0;

  using Pieces = std::span<const std::span<const std::byte>>;
  /// The same for bytes that lie apart, the first ones first.
  [[nodiscard]] virtual IoResult write_gathered(Pieces pieces) noexcept {
    IoResult sum{0, IoState::more};
    for (std::size_t n = 0; n < pieces.size() && sum.state == IoState::more; ++n) {
      const IoResult one = write(pieces[n]);
      sum = {sum.bytes + one.bytes, one.state};
    }
    return sum;
  }
  /// How many bytes beyond those taken a `drained` write may have committed itself to: they must be what the
  /// next write begins with, where the caller has offered so many.
  [[nodiscard]] virtual std::size_t committed_bytes() const noexcept { return 0; }

  /// What is written goes to the socket as it is: others may send for the leg.
  [[nodiscard]] virtual bool is_bare() const noexcept { return false; }

  /// What a leg that is not bare can seal at once: one TLS record.
  static constexpr std::size_t most_sealed_bytes = 16UL * 1024;
  /// Writes behind `ciphertext` instead of to the socket, so that others may send it; they give back by
  /// `keep` what the kernel did not take. At most most_sealed_bytes. False: it can't now, and nothing has
  /// happened.
  [[nodiscard]] virtual bool seal(Pieces, std::vector<std::byte>& /*ciphertext*/) noexcept { return false; }
  /// The rest of what was sealed; it leaves by `flush`, or in front of the next write.
  virtual void keep(std::span<const std::byte> /*rest*/) noexcept {}
  /// `drained`: some of what it keeps is still here, and must have left before `finish_writing`.
  [[nodiscard]] virtual IoState flush() noexcept { return IoState::more; }

  /// The kernel takes only a little that it can't send yet, so that what waits is not old when it leaves.
  virtual void limit_unsent() noexcept {}

  /// What is written from now on may wait for `finish_writing`, to leave in one segment with the FIN. Where
  /// that does not come in the same turn, `uncork`.
  virtual void cork() noexcept {}
  virtual void uncork() noexcept {}

  /// close_notify where TLS, then FIN. The caller has flushed what it had.
  virtual void finish_writing() noexcept = 0;
  /// The same for a leg that is destroyed next, which sends the FIN, too.
  virtual void finish_before_end() noexcept { finish_writing(); }

  /// Throws away what the peer still sends (while lingering); the bytes are not even decrypted.
  [[nodiscard]] virtual IoState discard() noexcept = 0;

  [[nodiscard]] virtual Liveness liveness() const noexcept = 0;

  /// The peer is given up: when the leg is destroyed, the kernel throws away what the peer has not
  /// acknowledged and sends a reset (SO_LINGER 0), so that a peer that wakes up later reads none of it.
  virtual void abort() noexcept = 0;

  /// Bytes of the peer are here already, read ahead, where no edge tells of them.
  [[nodiscard]] virtual bool has_read_ahead() const noexcept { return false; }

  /// No `read` takes more than so many bytes from the kernel at once: for a source that is mostly read faster
  /// than it may send. TLS gives what is left of a record more.
  virtual void limit_reads(std::size_t) noexcept {}

  /// Pump plane: reads through the thread's ciphertext scratch from now on (no effect on a plain leg).
  virtual void use_scratch(CipherScratch& scratch) noexcept = 0;

 protected:
  Leg() = default;

 private:
  friend class Loop;
  friend class AsyncLeg;
  friend class PumpLeg;
  friend class SendBatch;
  [[nodiscard]] virtual int descriptor() const noexcept = 0;
};

}  // namespace holdfast::net
