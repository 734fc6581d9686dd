#pragma once
// One client's session on its pump thread: the client's leg, the backend legs that come and go, two pumps,
// one timer. LIFECYCLE.md draws its phases and what a reroute does.
//
// Where things are: session.cpp the legs and their readiness; to_backend.cpp and to_client.cpp the two pumps;
// closing.cpp how it ends; keepalive.cpp what time does; rerouting.cpp one backend leg after another;
// moving.cpp the planned ones; throttling.cpp clients that send too fast; records.cpp what is told of it.
//
// Thread: its shard's. Lifetime: a slab slot of the shard, freed at the end of the turn in which all legs
// are gone. Invariants, checked by `check_invariants`:
//   - the client is not read while the backend leg has not taken what came before, nor a backend leg while
//   the
//     client has not;
//   - nothing is written to a leg after a Close frame was;
//   - a frame of ours is only written where the stream to that leg is at a frame boundary;
//   - the client never gets the first byte of a frame whose last byte no leg can bring any more, unless the
//     frame is larger than hold_bytes;
//   - a session that is not open has a reason.

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "holdfast/base/buffer_pool.hpp"
#include "holdfast/base/reason.hpp"
#include "holdfast/base/slab.hpp"
#include "holdfast/base/timer_wheel.hpp"
#include "holdfast/net/loop.hpp"
#include "holdfast/session/orders.hpp"
#include "holdfast/session/shard.hpp"
#include "holdfast/ws/walker.hpp"
#include "session/kind.hpp"
#include "session/packed_story.hpp"
#include "session/replay.hpp"
#include "session/reroute.hpp"
#include "session/throttle.hpp"

namespace holdfast::session {

class Session final : private Timer, public net::Handler {
 public:
  Session(const Kind& kind, Handover& handover) noexcept;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  /// Registers the legs, sends what came early, and reads what may already be waiting.
  void start(Handover& handover) noexcept;

  void on_ready(unsigned which, net::Readiness ready) noexcept override;

  /// Ends it for a reason of the proxy's; nothing if it is ending already.
  void end(Reason reason) noexcept;
  /// The same, at a later moment; the earlier of two wins.
  void end_at(Reason reason, Tick when) noexcept;
  /// All connections are closed at once, without a word.
  void cut(Reason reason) noexcept;

  /// The answer to its latest attempt, or to an older one.
  void reply(AttemptReply& answer) noexcept;
  /// It should leave its backend; its turn comes later. False if it can't, or is leaving for a cause as
  /// urgent.
  bool order_move(Cause cause) noexcept;
  /// For people: why it can't be moved by POST /sessions/ID/move; null if it can.
  [[nodiscard]] const char* why_no_requested_move() const noexcept;
  [[nodiscard]] bool has_order(Cause cause) const noexcept { return ordered_ == cause; }
  /// The turn of that order (make before break); false if it can't: it is closing, rerouting or not to be
  /// moved for such a cause.
  bool move(Cause cause) noexcept;

  /// Open, or half-closed by the client and still receiving.
  [[nodiscard]] bool is_running() const noexcept {
    return phase_ == Phase::open || (phase_ == Phase::closing && reason_ == Reason::client_vanished);
  }
  [[nodiscard]] const std::string& upstream() const noexcept { return latest()->upstream(); }
  [[nodiscard]] const std::shared_ptr<upstream::UpstreamState>& upstream_state() const noexcept {
    return latest()->upstream_state();
  }
  /// The backend that gets the client's messages; null while there is none.
  [[nodiscard]] const upstream::Backend* backend() const noexcept;
  [[nodiscard]] const SessionId& id() const noexcept { return id_; }
  [[nodiscard]] SessionView view(Tick now) const;

  // For simulations.
  /// The `which` of one of its legs; 3 when it is none of them.
  [[nodiscard]] unsigned which(const net::Leg& leg) const noexcept;
  [[nodiscard]] bool has_moving_place() const noexcept { return move_counted_; }
  void check_invariants() const noexcept;

 private:
  void check_if_asked() const noexcept {
    if (shard().surroundings().checking) check_invariants();
  }
  enum Peer : std::uint8_t { client = 0, first = 1, second = 2, nobody = 3 };
  static constexpr std::uint16_t normal_closure = 1000;
  static constexpr std::uint16_t going_away = 1001;   ///< what a backend leg is told that is left
  static constexpr std::uint32_t turn_again_ms = 20;  ///< where a move has to wait for its turn
  static constexpr std::uint32_t client_stuck_ms =
      1'000;  ///< who takes nothing for so long reads nothing now
  static constexpr std::array<Peer, 3> all_peers{client, first, second};

  enum class Phase : std::uint8_t {
    open,     ///< frames flow, or the client is held
    closing,  ///< a Close is on its way, or the client has half-closed: bounded by close_timeout
    settled,  ///< recorded; the legs linger until the peers have read our last words
  };
  enum class Reading : std::uint8_t {
    frames,   ///< walked and forwarded
    later,    ///< not yet: a new leg while the old one still feeds the client
    discard,  ///< thrown away: nothing behind it may be forwarded
    ended,    ///< the peer's FIN or error was met
  };
  /// What the client has of the message under way from a backend.
  enum class Given : std::uint8_t { whole_ones, part_of_message, part_of_frame };
  /// What a backend leg is for.
  enum class Role : std::uint8_t {
    none,     ///< no leg, or the client's
    current,  ///< gets the client's messages
    standby,  ///< is to become the current one
    former,   ///< was it; its last messages go to the client
    leaving,  ///< has had its last word: lingers until its FIN or 2 s
  };

  /// Why a leg is not read.
  enum class Stop : std::uint8_t {
    destination = 1,  ///< what it says has nowhere to go
    rate = 2,         ///< the client has sent too fast (throttling.cpp)
  };

  /// What waits for more bytes, or for room, of one leg. A session at work has it; it goes in a quiet time.
  struct Rest {
    BufferPtr carry;   ///< an incomplete frame head or control frame that came from it
    BufferPtr unsent;  ///< what it has not taken yet (for the current backend leg: replay_)
    BufferPtr held;    ///< a backend's: a frame or message kept back until it is whole
  };
  /// One leg, with what was read from it but not forwarded and what waits to be written to it.
  struct Side {
    explicit Side(ws::Sender sender) noexcept : walker(sender) {}
    [[nodiscard]] bool paused() const noexcept { return stops != 0; }
    [[nodiscard]] bool paused_for(Stop why) const noexcept {
      return (stops & static_cast<std::uint8_t>(why)) != 0;
    }
    void pause(Stop why) noexcept {
      stops = static_cast<std::uint8_t>(stops | static_cast<std::uint8_t>(why)) & 3U;
    }
    void resume(Stop why) noexcept {
      stops = static_cast<std::uint8_t>(stops & ~static_cast<unsigned>(why)) & 3U;
    }
    [[nodiscard]] Buffer* waiting(BufferPtr Rest::*what) const noexcept {
      return rest == nullptr ? nullptr : ((*rest).*what).get();
    }
    [[nodiscard]] BufferPtr& room_for(BufferPtr Rest::*what) {
      if (rest == nullptr) rest = std::make_unique<Rest>();
      return (*rest).*what;
    }
    void forget(BufferPtr Rest::*what) noexcept {
      if (rest != nullptr) ((*rest).*what).reset();
    }
    /// Seldom: it is allocated again.
    void give_back() noexcept {
      if (rest != nullptr && !rest->carry && !rest->unsent && !rest->held) rest.reset();
    }
    net::PumpLeg leg;                         ///< none = gone
    [[no_unique_address]] ws::Walker walker;  ///< of the frames that come from it
    // These lie in the walker's tail padding.
    std::uint16_t close_due = 0;        ///< Close to write to it at the next frame boundary
    std::uint8_t pings_unanswered = 0;  ///< of ours
    Role role : 3 = Role::none;
    Reading reading : 2 = Reading::frames;
    std::uint8_t stops : 2 = 0;  ///< not read: bits of Stop, each set and cleared by its own reason only
    bool ending : 1 = false;     ///< its FIN or error is waiting behind what it sent
    bool at_end : 1 = false;     ///< and all that it sent has been read
    bool write_broken : 1 = false;
    bool close_received : 1 = false;
    bool close_written : 1 = false;
    bool finishing : 1 = false;          ///< FIN follows once nothing is unsent
    bool finished : 1 = false;           ///< FIN written
    bool ping_open : 1 = false;          ///< ours is unanswered
    bool ping_answered : 1 = false;      ///< it has answered one of ours before
    bool relayed_ping_open : 1 = false;  ///< a forwarded one is unanswered
    bool in_flight : 1 = false;
    bool corked : 1 = false;     ///< its leg is
    std::unique_ptr<Rest> rest;  ///< null: nothing waits
    Tick since = 0;  ///< of a leg that is leaving: when it began to; of others when they were attached
    Tick last_received = 0;
    Tick ping_at = 0;          ///< when ours was written
    Tick last_taken = 0;       ///< when it last took some of its unsent bytes
    Tick in_flight_since = 0;  ///< no acknowledgement seen from here on, see keepalive.cpp
  };
  struct BackendSide : Side {
    BackendSide() noexcept : Side(ws::Sender::server) {}
    [[no_unique_address]] upstream::Seat seat;
    // These lie in the seat's tail padding.
    std::uint8_t answers_to_swallow = 0;  ///< of the preamble, that the client does not get
    Given given : 2 = Given::whole_ones;
    bool got_preamble : 1 = false;  ///< as a later leg: its answers are not for the client
    bool kept_told : 1 = false;     ///< outlier detection knows that it did not die early
    std::uint32_t given_bytes = 0;  ///< modulo 2^32; current leg: what it has or is to get, ours included
  };

  /// What the reroute under way costs, for its record.
  struct Tally {
    std::uint32_t attempts = 0;
    std::uint64_t resent = 0;
    std::uint64_t undelivered = 0;
    std::uint64_t unconfirmed = 0;
  };
  /// What only a session needs that is on its way to another backend, or that has its second leg.
  struct Detour {
    BackendSide second;
    std::shared_ptr<upstream::Backend> latest;  ///< of the current leg that is gone
    Tally tally;
    std::string why_not;                           ///< what the latest attempt failed with
    std::unique_ptr<std::string> early;            ///< what the newest leg's backend sent behind its 101
    std::shared_ptr<std::atomic<bool>> withdrawn;  ///< shared with the attempt under way
    std::unique_ptr<RerouteRecord> moved;          ///< of a move whose former leg still has the word
    std::uint64_t former_pending = 0;  ///< client messages that the former leg has and has not answered
    Tick place_found_at = 0;           ///< break_first: when somebody was there to go to
    bool place_found = false;
    Tick breaking_since = 0;
    Tick paused_at = 0;  ///< since when the client may wait for a backend
  };

  // session.cpp: legs
  [[nodiscard]] bool waits_for_an_end(Peer peer) noexcept;
  [[nodiscard]] bool speaks_its_last() const noexcept;
  void pump(Peer from) noexcept;
  void receive(Peer from, std::span<std::byte> scratch, std::size_t bytes) noexcept;
  void consume(Peer from, std::span<const std::byte> data) noexcept;
  void carry(Peer from, std::span<const std::byte> rest) noexcept;
  void write(Peer to, std::span<const std::byte> bytes) noexcept;
  void flush(Peer to) noexcept;
  void resume(Peer from) noexcept;
  [[nodiscard]] bool has_unsent(Peer to) const noexcept;
  [[nodiscard]] bool takes_no_more(Peer to) const noexcept;
  void count(Peer from, const ws::Step& step) noexcept;
  void count(Peer from, const ws::WholeMessages& whole) noexcept;
  [[nodiscard]] ws::Limits limits(Peer from) const noexcept;

  // to_backend.cpp: the client's messages
  void consume_client(std::span<const std::byte> data) noexcept;
  [[nodiscard]] bool takes_whole_runs() const noexcept;
  [[nodiscard]] bool forwards_control(std::span<const std::byte> frame,
                                      const ws::FrameHeader& header) noexcept;
  void client_close(std::span<const std::byte> frame, const ws::FrameHeader& header) noexcept;
  void forward(std::span<const std::byte> run, StreamPoint start) noexcept;
  [[nodiscard]] StreamPoint stream_point() const noexcept;
  void set_mark(const BackendSide& leg) noexcept;
  void flush_replay() noexcept;
  void judge_client_pause() noexcept;
  void remember_ping(const ws::ControlPayload& payload) noexcept;
  void capture_preamble(std::span<const std::byte> bytes) noexcept;
  [[nodiscard]] bool accumulates() const noexcept;
  [[nodiscard]] std::span<const std::byte> preamble_for_next_leg() const noexcept;
  [[nodiscard]] Replay::Rules replay_rules() noexcept;
  [[nodiscard]] bool may_keep(std::uint64_t bytes) noexcept;

  // throttling.cpp: clients that send too fast
  /// What the client's rate is now judged by, where there is a limit; null = by nothing.
  [[nodiscard]] Throttle* throttle() noexcept;
  [[nodiscard]] Throttle::Pongs kind_of_pongs() const noexcept;
  void too_fast(Throttle& throttle, std::span<const std::byte> rest, metrics::RateLimit limit) noexcept;
  void take_stalled() noexcept;
  void look_at_throttle(Tick now, std::uint32_t& wait_ms) noexcept;
  void lift_throttle() noexcept;
  [[nodiscard]] bool may_continue_message(const ws::FrameHeader& header) noexcept;

  // to_client.cpp: the backends' messages
  void consume_backend(Peer from, std::span<const std::byte> data) noexcept;
  class ClientRun;
  void backend_close(Peer from, std::span<const std::byte> frame, const ws::FrameHeader& header) noexcept;
  [[nodiscard]] static bool answers_ours(std::uint16_t code) noexcept;
  void note_answer(Peer from) noexcept;
  void write_held(BackendSide& source) noexcept;
  [[nodiscard]] bool may_hold(std::uint64_t bytes) noexcept;

  // closing.cpp: ends
  void close_came(Peer from, std::uint16_t code) noexcept;
  [[nodiscard]] static Reason reason_of_cut(Given given) noexcept;
  void input_ended(Peer from, net::IoState state) noexcept;
  void client_ended(net::IoState state) noexcept;
  void backend_ended(Peer from, net::IoState state) noexcept;
  void write_failed(Peer to) noexcept;
  void violated(Peer from, ws::Violation violation) noexcept;
  /// Nothing that it says from here on is taken.
  void refuse(Peer from, Reason reason) noexcept;
  void begin_closing(Reason reason, ClosedBy who, std::uint16_t code) noexcept;
  void offer_close(Peer to, std::uint16_t code) noexcept;
  void write_due_close(Peer to) noexcept;
  void settle_if_done() noexcept;
  void settle() noexcept;
  /// For people who read a Close.
  [[nodiscard]] std::string_view words_for(Peer to) const noexcept;
  /// The answer to its Close is to be written: most likely the FIN follows at once.
  void cork_last_words(Peer to) noexcept;
  void uncork_if_open(Peer to) noexcept;
  void finish(Peer to) noexcept;
  void linger(Peer peer) noexcept;
  void drop(Peer peer) noexcept;

  // keepalive.cpp: time
  void on_timer(Tick now) override;
  void look(Tick now) noexcept;
  void give_back() noexcept;
  void look_at_leg(Peer peer, Tick now, std::uint32_t& wait_ms) noexcept;
  void send_ping(Peer to, Tick now) noexcept;
  [[nodiscard]] bool pong_is_ours(Peer from, const ws::ControlPayload& payload) noexcept;
  [[nodiscard]] bool unacknowledged_for(Peer peer, std::uint32_t timeout_ms, Tick now) noexcept;
  void lost(Peer peer) noexcept;
  /// Something is to be looked after soon, but not from within a write.
  void look_soon() noexcept;
  void arm_closing_timer(std::uint32_t wait_ms) noexcept;
  /// Why it should be over by now, or Reason::none; `wait_ms` is lowered to when to ask again.
  [[nodiscard]] Reason overdue(Tick now, std::uint32_t& wait_ms) noexcept;
  /// Until its token is over; UINT32_MAX = that is no end for it, or far away.
  [[nodiscard]] std::uint32_t token_left_ms(Tick now) const noexcept;
  /// Its upstream was gone and is back.
  void forget_revoked_end() noexcept;

  // rerouting.cpp: one backend leg after another
  [[nodiscard]] bool can_reroute(Cause cause) const noexcept;
  /// It has one leg, which may be left for another one.
  [[nodiscard]] bool can_move(Cause cause) const noexcept;
  /// The current leg is lost. `answer_code` ≠ 0: it has sent a Close, which is answered with this.
  void detach(Cause cause, std::uint16_t answer_code = 0) noexcept;
  [[nodiscard]] Reroute::Todo part_from(Peer gone, Cause cause, std::uint16_t answer_code,
                                        net::Liveness last) noexcept;
  void note_place(Tick now) noexcept;
  void count_loss(const net::Liveness& last, std::uint32_t sent_bytes,
                  const Replay::Rewound& rewound) noexcept;
  void answer_open_ping() noexcept;
  void perform(Reroute::Todo todo) noexcept;
  void ask() noexcept;
  [[nodiscard]] bool take_standby(AttemptReply& answer) noexcept;
  void attach() noexcept;
  [[nodiscard]] std::unique_ptr<RerouteRecord> take_over() noexcept;
  void begin_leg(std::span<const std::byte> preamble) noexcept;
  void try_switch() noexcept;
  void standby_ended() noexcept;
  void switch_over() noexcept;
  [[nodiscard]] bool breaks_first() const noexcept;
  void break_off() noexcept;
  void write_close_of_ours(Peer to) noexcept;
  void hand_over() noexcept;
  void note_disabled() noexcept;
  void lose() noexcept;
  void former_done(Peer peer) noexcept;
  void let_it_finish() noexcept;
  void begin_move() noexcept;
  void end_move() noexcept;
  void look_for_quiet(Tick now, std::uint32_t& wait_ms) noexcept;
  void feed_from(Peer peer) noexcept;
  void stay() noexcept;
  void note_compressed() noexcept;
  /// Its move, if that has not switched.
  void call_off(const char* why) noexcept;
  void leave(Peer peer) noexcept;
  void abandon_reroute() noexcept;
  void withdraw_attempt() noexcept;
  void drop_waiting() noexcept;
  void look_at_reroute(Tick now, std::uint32_t& wait_ms) noexcept;
  void set_stranded(bool stranded) noexcept;
  [[nodiscard]] bool is_quiet(Tick now) const noexcept;
  [[nodiscard]] bool at_switching_point() const noexcept;
  [[nodiscard]] std::optional<Cause> wanted_elsewhere() const noexcept;
  [[nodiscard]] Reroute::Rules reroute_rules() const noexcept;
  [[nodiscard]] Peer free_slot() noexcept;

  /// It no longer counts as a session of its upstream.
  void leave_circuit() noexcept;

  // records.cpp: what is told of it
  void tell_leg_lost(Peer peer) noexcept;
  void tell_leg_kept(Peer peer) noexcept;
  /// Whether it has lived long enough by now.
  void judge_leg_age(Tick now, std::uint32_t& wait_ms) noexcept;
  void record() noexcept;
  void tell_session() noexcept;
  void note_reroute(RerouteResult result, const char* detail) noexcept;
  [[nodiscard]] std::unique_ptr<RerouteRecord> make_record(RerouteResult result, const char* detail) const;
  /// The pause is over.
  void tell_attached(std::unique_ptr<RerouteRecord> entry) noexcept;
  /// The former leg has had its last word, or the session ends.
  void tell_moved() noexcept;

  /// A backend's; `second` only where there is a detour.
  [[nodiscard]] const BackendSide& backend_side(Peer peer) const noexcept {
    return peer == first ? first_ : detour_->second;
  }
  [[nodiscard]] BackendSide& backend_side(Peer peer) noexcept {
    return peer == first ? first_ : detour_->second;
  }
  [[nodiscard]] const Side& side(Peer peer) const noexcept {
    return peer == client ? client_ : backend_side(peer);
  }
  [[nodiscard]] Side& side(Peer peer) noexcept { return peer == client ? client_ : backend_side(peer); }
  /// Those that there are.
  [[nodiscard]] std::span<const Peer> peers() const noexcept {
    return std::span(all_peers).first(detour_ == nullptr ? 2 : 3);
  }
  [[nodiscard]] std::span<const Peer> backend_peers() const noexcept { return peers().subspan(1); }
  [[nodiscard]] Detour& detour();  ///< makes one where there is none
  void forget_detour() noexcept;
  /// Where the client's messages go, and whose messages the client gets.
  [[nodiscard]] Peer current() const noexcept { return current_; }
  [[nodiscard]] Peer feeding() const noexcept { return former_ != nobody ? former_ : current_; }
  [[nodiscard]] Peer destination_of(Peer from) const noexcept { return from == client ? current_ : client; }
  [[nodiscard]] Peer source_for(Peer to) const noexcept { return to == client ? feeding() : client; }
  /// Whether a frame of ours may be put into the stream towards `to` now.
  [[nodiscard]] bool at_boundary(Peer to) const noexcept;
  [[nodiscard]] std::optional<ws::Mask> mask_for(Peer to) noexcept;
  [[nodiscard]] metrics::RouteCells::Flow& flow(Peer from) noexcept;
  [[nodiscard]] std::uint64_t age_ms(Tick now) const noexcept {
    return (std::uint64_t{wraps_} + (has_wrapped(now) ? 1 : 0)) << 32U | (now - started_);
  }
  /// As elapsed_ms, of a moment that is past for certain: twice as long, for 49 days.
  [[nodiscard]] static std::uint32_t since_ms(Tick past, Tick now) noexcept { return now - past; }
  /// As remaining_ms, of a span that has begun for certain.
  [[nodiscard]] static std::uint32_t left_ms(Tick past, std::uint32_t span_ms, Tick now) noexcept {
    return span_ms - std::min(span_ms, since_ms(past, now));
  }
  /// Another 2^32 ms since `aged_at_`.
  [[nodiscard]] bool has_wrapped(Tick now) const noexcept { return now - started_ < aged_at_ - started_; }
  /// The backend that had its messages last, also when it has gone; until the session is settled.
  [[nodiscard]] const std::shared_ptr<upstream::Backend>& latest() const noexcept;
  [[nodiscard]] Shard& shard() const noexcept { return kind_.shard; }
  [[nodiscard]] RouteState& route() const noexcept { return kind_.route; }
  [[nodiscard]] metrics::RouteCells& cells() const noexcept { return kind_.cells; }
  [[nodiscard]] Traffic& traffic(Peer from) noexcept { return from == client ? to_backend_ : to_client_; }

  /// How far the stream to the current leg was at the end of the latest writes: what an unacknowledged rest
  /// means in messages.
  struct Mark {  // both modulo 2^32
    std::uint32_t bytes = 0;
    std::uint32_t messages = 0;
  };

  // In this order without holes: there are very many of it (see the end of this file).
  Reason planned_ = Reason::none;  ///< to end with at end_at_
  Reason reason_ = Reason::none;
  ClosedBy closed_by_ = ClosedBy::proxy;
  Phase phase_ = Phase::open;
  Peer current_ = first;
  Peer former_ = nobody;
  Peer standby_ = nobody;
  const Kind& kind_;
  Side client_{ws::Sender::client};
  BackendSide first_;
  std::unique_ptr<Detour> detour_;
  std::unique_ptr<Throttle> throttle_;  ///< once its route has limited rates or fragments
  [[no_unique_address]] Replay replay_;
  std::uint16_t close_code_ = 0;  ///< for the record: the first Close seen or written
  std::array<std::uint16_t, 2>
      answer_{};  ///< Close to write to client, backend if they got none when closing is over
  Traffic to_backend_;
  Traffic to_client_;
  std::uint64_t client_messages_ = 0;  ///< whose last frame has begun, swallowed ones not counted
  std::uint64_t answered_ = 0;         ///< client_messages_ when the last backend message came
  std::array<Mark, 4> marks_{};
  Reroute reroute_;
  BufferPtr preamble_;   ///< the first client messages, whole ones
  BufferPtr open_ping_;  ///< payload of the last forwarded client Ping without a Pong
  std::unique_ptr<const Continuation> continuation_;
  PackedStory story_;
  ListenerSeat listener_seat_;
  SessionId id_;
  Tick started_;
  Tick aged_at_;  ///< of the latest look
  Tick last_data_;
  Tick end_at_ = 0;
  Tick move_tried_at_ = 0;
  std::uint32_t token_lasts_100ms_;     ///< since started_; 0 = no end
  std::uint32_t preamble_end_ = 0;      ///< bytes of the whole ones captured
  std::uint16_t move_wait_ms_ = 0;      ///< since move_tried_at_, before the next try; 0 = that is over
  std::uint16_t wraps_ = 0;             ///< how often the ticks since started_ have begun anew, at aged_at_
  std::uint8_t preamble_messages_ = 0;  ///< whole ones captured
  std::uint8_t preamble_wanted_ = 0;
  std::uint8_t preamble_answers_;  ///< as at the handshake: what was agreed about compression depends on it
  std::uint8_t answers_ = 0;       ///< messages that the client got; at most as many as a preamble can have
  std::uint8_t allowed_rsv_;
  std::uint8_t next_mark_ : 2 = 0;
  Continuity continuity_ : 2;
  bool breaking_ : 1 = false;    ///< break_first: the old leg has our Close, the next one waits for its end
  bool swallowing_ : 1 = false;  ///< the rest of the client's message under way is thrown away
  bool compressed_ : 1 = false;  ///< the client has sent a compressed message
  bool stranded_ : 1 = false;
  bool in_circuit_ : 1 = false;    ///< counts as a session of its latest backend's upstream
  bool move_counted_ : 1 = false;  ///< holds one of the shard's places for moves under way
  std::optional<Cause> ordered_;   ///< what it waits for in the shard's queue of moves
};
static_assert(sizeof(Session) <= 464, "the bench's plain-idle: think before more");

}  // namespace holdfast::session
