#pragma once
// One client's session on its pump thread: two legs, two pumps, one timer. LIFECYCLE.md draws its phases.
//
// Thread: its shard's. Lifetime: a slab slot of the shard, freed at the end of the turn in which both legs
// are gone. Invariants, checked by `check_invariants`:
//   - a source is paused exactly while its destination has unsent bytes;
//   - nothing is written to a leg after a Close frame was;
//   - a control frame of ours is only written where the stream to that leg is at a frame boundary;
//   - a session that is not open has a reason.

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "holdfast/base/buffer_pool.hpp"
#include "holdfast/base/reason.hpp"
#include "holdfast/base/slab.hpp"
#include "holdfast/base/timer_wheel.hpp"
#include "holdfast/net/loop.hpp"
#include "holdfast/session/shard.hpp"
#include "holdfast/ws/walker.hpp"

namespace holdfast::session {

class Session final : public net::Handler, private Timer {
 public:
  Session(Shard& shard, Handover& handover) noexcept;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() = default;

  /// Registers the legs, sends what came early, and reads what may already be waiting.
  void start(Handle self, Handover& handover) noexcept;

  void on_ready(unsigned which, net::Readiness ready) noexcept override;

  /// Ends it for a reason of the proxy's; nothing if it is ending already.
  void end(Reason reason) noexcept;
  /// The same, at a later moment; the earlier of two wins.
  void end_at(Reason reason, Tick when) noexcept;
  /// Both connections are closed at once, without a word.
  void cut(Reason reason) noexcept;

  /// Open, or half-closed by the client and still receiving.
  [[nodiscard]] bool is_running() const noexcept {
    return phase_ == Phase::open || (phase_ == Phase::closing && reason_ == Reason::client_vanished);
  }
  [[nodiscard]] const std::string& upstream() const noexcept { return seat_->backend().upstream(); }

 private:
  enum Peer : unsigned { client = 0, backend = 1 };
  [[nodiscard]] static constexpr Peer other(Peer peer) noexcept { return peer == client ? backend : client; }

  enum class Phase : std::uint8_t {
    open,     ///< frames flow
    closing,  ///< a Close is on its way, or the client has half-closed: bounded by close_timeout
    settled,  ///< recorded; the legs linger until the peers have read our last words
  };
  enum class Reading : std::uint8_t {
    frames,   ///< walked and forwarded
    discard,  ///< thrown away: nothing behind it may be forwarded
    ended,    ///< the peer's FIN or error was met
  };

  /// One leg, with what was read from it but not judged and what waits to be written to it.
  struct Side {
    explicit Side(ws::Sender sender) noexcept : walker(sender) {}
    std::unique_ptr<net::Leg> leg;  ///< null = gone
    ws::Walker walker;              ///< of the frames that come from it
    BufferPtr carry;                ///< an incomplete frame head or control frame that came from it
    BufferPtr unsent;               ///< what it has not taken yet; its source is paused meanwhile
    Traffic traffic;                ///< of the frames that came from it
    Tick last_received = 0;
    Tick ping_at = 0;                   ///< when ours was written
    Tick last_taken = 0;                ///< when it last took some of its unsent bytes
    Tick in_flight_since = 0;           ///< no acknowledgement seen from here on, see keepalive.cpp
    std::uint16_t close_due = 0;        ///< Close to write to it at the next frame boundary
    std::uint8_t pings_unanswered = 0;  ///< of ours
    Reading reading = Reading::frames;
    bool paused = false;  ///< not read, because its destination is blocked
    bool ending = false;  ///< its FIN or error is waiting behind what it sent
    bool write_broken = false;
    bool close_received = false;
    bool close_written = false;
    bool finishing = false;          ///< FIN follows once `unsent` is empty
    bool finished = false;           ///< FIN written
    bool ping_open = false;          ///< ours is unanswered
    bool ping_answered = false;      ///< it has answered one of ours before
    bool relayed_ping_open = false;  ///< a forwarded one is unanswered
    bool in_flight = false;
  };

  // session.cpp: the pumps
  void pump(Peer from) noexcept;
  void receive(Peer from, std::span<std::byte> scratch, std::size_t bytes) noexcept;
  void consume(Peer from, std::span<const std::byte> data) noexcept;
  void count(Peer from, const ws::Step& step) noexcept;
  [[nodiscard]] bool passes(Peer from, std::span<const std::byte> frame,
                            const ws::FrameHeader& header) noexcept;
  void keep(Peer from, std::span<const std::byte> rest) noexcept;
  void write(Peer to, std::span<const std::byte> bytes) noexcept;
  void flush(Peer to) noexcept;
  void resume(Peer from) noexcept;
  [[nodiscard]] ws::Limits limits(Peer from) const noexcept;

  // closing.cpp: ends
  void close_came(Peer from, std::span<const std::byte> frame, const ws::FrameHeader& header) noexcept;
  void input_ended(Peer from, net::IoState state) noexcept;
  void write_failed(Peer to) noexcept;
  void violated(Peer from, ws::Violation violation) noexcept;
  void begin_closing(Reason reason, ClosedBy who, std::uint16_t code) noexcept;
  void offer_close(Peer to, std::uint16_t code) noexcept;
  void write_due_close(Peer to) noexcept;
  void settle_if_done() noexcept;
  void settle() noexcept;
  void finish(Peer to) noexcept;
  void linger(Peer peer) noexcept;
  void drop(Peer peer) noexcept;
  void record() noexcept;

  // keepalive.cpp: time
  void on_timer(Tick now) override;
  void look(Tick now) noexcept;
  void look_at_leg(Peer peer, Tick now, std::uint32_t& wait_ms) noexcept;
  void send_ping(Peer to, Tick now) noexcept;
  [[nodiscard]] bool pong_is_ours(Peer from, const ws::ControlPayload& payload) noexcept;
  [[nodiscard]] bool unacknowledged_for(Peer peer, std::uint32_t timeout_ms, Tick now) noexcept;
  void lost(Peer peer) noexcept;
  /// A source has ended while its destination is blocked: looked after from now on.
  void end_soon() noexcept;
  void arm_closing_timer() noexcept;
  /// Why it should be over by now, or Reason::none; `wait_ms` is lowered to when to ask again.
  [[nodiscard]] Reason overdue(Tick now, std::uint32_t& wait_ms) const noexcept;

  [[nodiscard]] Side& side(Peer peer) noexcept { return sides_[peer]; }
  [[nodiscard]] const Side& side(Peer peer) const noexcept { return sides_[peer]; }
  /// Whether a frame of ours may be put into the stream towards `to` now.
  [[nodiscard]] bool at_boundary(Peer to) const noexcept {
    return side(other(to)).walker.at_frame_boundary();
  }
  [[nodiscard]] std::optional<ws::Mask> mask_for(Peer to) noexcept;
  [[nodiscard]] metrics::RouteCells::Flow& flow(Peer from) noexcept;
  void check_invariants() const noexcept;

  Shard& shard_;
  RouteState& route_;
  metrics::RouteCells& cells_;
  metrics::SessionCells& open_sessions_;
  std::optional<upstream::Seat> seat_;  ///< given up when settled
  ListenerSeat listener_seat_;
  std::unique_ptr<Story> story_;
  std::array<Side, 2> sides_;
  Handle self_;
  Tick started_;
  Tick last_data_;
  Tick closing_deadline_ = 0;
  Tick end_at_ = 0;
  std::uint16_t close_code_ = 0;           ///< for the record: the first Close seen or written
  std::array<std::uint16_t, 2> answer_{};  ///< Close to write to a peer that got none when closing is over
  Reason planned_ = Reason::none;          ///< to end with at end_at_
  Reason reason_ = Reason::none;
  ClosedBy closed_by_ = ClosedBy::proxy;
  Phase phase_ = Phase::open;
  std::uint8_t allowed_rsv_;
};

}  // namespace holdfast::session
