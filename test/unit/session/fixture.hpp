// A real shard on a thread of its own, sessions over loopback TCP, and what it records.
#pragma once

#include <doctest/doctest.h>

#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "holdfast/session/handover.hpp"
#include "holdfast/session/shard.hpp"
#include "holdfast/ws/walker.hpp"
#include "unit/net/pair.hpp"

namespace holdfast::session::test {

using net::test::patience;
using net::test::Peer;

/// One sink for records and warnings; any thread.
class Notes final : public AccessSink, public WarningSink {
 public:
  [[nodiscard]] bool wants_access_records() const noexcept override { return true; }
  void record(std::unique_ptr<AccessRecord> record) noexcept override {
    const std::lock_guard lock(mutex_);
    records_.push_back(std::move(record));
    changed_.notify_all();
  }
  void record(std::unique_ptr<RerouteRecord> record) noexcept override {
    const std::lock_guard lock(mutex_);
    reroutes_.push_back(std::move(record));
    changed_.notify_all();
  }
  void warn(std::string sentence) noexcept override {
    const std::lock_guard lock(mutex_);
    warnings_.push_back(std::move(sentence));
    changed_.notify_all();
  }
  /// The next one in order of ends.
  std::unique_ptr<AccessRecord> next_record() {
    std::unique_lock lock(mutex_);
    REQUIRE(changed_.wait_for(lock, patience, [this] { return !records_.empty(); }));
    auto first = std::move(records_.front());
    records_.pop_front();
    return first;
  }
  std::vector<std::string> wait_for_warnings(std::size_t count) {
    std::unique_lock lock(mutex_);
    REQUIRE(changed_.wait_for(lock, patience, [&] { return warnings_.size() >= count; }));
    return warnings_;
  }
  std::unique_ptr<RerouteRecord> next_reroute() {
    std::unique_lock lock(mutex_);
    REQUIRE(changed_.wait_for(lock, patience, [this] { return !reroutes_.empty(); }));
    auto first = std::move(reroutes_.front());
    reroutes_.pop_front();
    return first;
  }
  [[nodiscard]] bool has_records() {
    const std::lock_guard lock(mutex_);
    return !records_.empty();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::unique_ptr<AccessRecord>> records_;
  std::deque<std::unique_ptr<RerouteRecord>> reroutes_;
  std::vector<std::string> warnings_;
};

/// Keeps what sessions ask for until the test answers; whether there is a place it answers itself.
class Desk final : public RerouteDesk {
 public:
  void ask(std::unique_ptr<Attempt> attempt) noexcept override {
    if (attempt->looks_only) {
      auto reply = std::make_unique<AttemptReply>();
      reply->session = attempt->session;
      reply->number = attempt->number;
      reply->result = places;
      attempt->shard->send(std::move(reply));
      return;
    }
    const std::lock_guard lock(mutex_);
    attempts_.push_back(std::move(attempt));
    changed_.notify_all();
  }
  std::unique_ptr<Attempt> next() {
    std::unique_lock lock(mutex_);
    REQUIRE(changed_.wait_for(lock, patience, [this] { return !attempts_.empty(); }));
    auto first = std::move(attempts_.front());
    attempts_.pop_front();
    return first;
  }
  /// Nobody waits for an answer.
  [[nodiscard]] bool is_idle() {
    const std::lock_guard lock(mutex_);
    return attempts_.empty();
  }

  std::atomic<AttemptResult> places = AttemptResult::ready;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::unique_ptr<Attempt>> attempts_;
};

inline constexpr ws::Mask mask = 0x04030201U;

/// One frame of the wire; client frames carry `mask`, their payload is given as the application sees it.
inline std::string frame(ws::Sender from, ws::Opcode opcode, std::string_view payload, bool fin = true) {
  ws::FrameHeader header;
  header.opcode = opcode;
  header.fin = fin;
  header.masked = from == ws::Sender::client;
  header.mask = header.masked ? mask : 0;
  header.payload = payload.size();
  std::array<std::byte, ws::max_header_bytes> head;
  const std::size_t size = ws::write_header(head, header);
  std::string bytes(reinterpret_cast<const char*>(head.data()), size);
  for (std::size_t n = 0; n < payload.size(); ++n) {
    const unsigned key = header.masked ? mask >> (8 * (n % 4)) & 0xffU : 0U;
    bytes += static_cast<char>(static_cast<unsigned char>(payload[n]) ^ key);
  }
  return bytes;
}
inline std::string from_client(std::string_view payload, ws::Opcode opcode = ws::Opcode::text) {
  return frame(ws::Sender::client, opcode, payload);
}
inline std::string from_backend(std::string_view payload, ws::Opcode opcode = ws::Opcode::text) {
  return frame(ws::Sender::server, opcode, payload);
}
inline std::string close_from(ws::Sender from, std::uint16_t code, std::string_view reason = {}) {
  std::string payload;
  if (code != 0) payload = {static_cast<char>(code >> 8U), static_cast<char>(code & 0xffU)};
  return frame(from, ws::Opcode::close, payload + std::string(reason));
}

struct Frame {
  ws::Opcode opcode = ws::Opcode::continuation;
  bool fin = false;
  bool masked = false;
  std::string payload;  ///< unmasked

  /// Of a Close; 0 = none.
  [[nodiscard]] unsigned code() const {
    if (opcode != ws::Opcode::close || payload.size() < 2) return 0;
    return static_cast<unsigned char>(payload[0]) * 256U + static_cast<unsigned char>(payload[1]);
  }
};

/// A peer that speaks frames.
class End : public Peer {
 public:
  using Peer::Peer;

  /// Nothing at the end of the connection; an incomplete frame stays in `rest`.
  std::optional<Frame> next() {
    for (;;) {
      if (auto whole = take()) return whole;
      if (ended()) return std::nullopt;
      rest += read_some();
    }
  }
  Frame expect() {
    auto got = next();
    REQUIRE(got.has_value());
    return *got;
  }
  /// The next one that is no Ping.
  Frame expect_past_pings() {
    for (;;) {
      Frame got = expect();
      if (got.opcode != ws::Opcode::ping) return got;
    }
  }
  /// The code of the Close that is next, behind which there is nothing but a FIN.
  unsigned close_then_end() {
    const Frame got = expect();
    CHECK(got.opcode == ws::Opcode::close);
    CHECK(read_to_end().empty());
    CHECK(rest.empty());
    CHECK_FALSE(was_reset());
    return got.code();
  }
  std::string rest;

 private:
  std::optional<Frame> take() {
    const auto bytes = net::test::bytes_of(rest);
    if (bytes.size() < 2 || bytes.size() < ws::detail::header_size(std::to_integer<unsigned>(bytes[1]))) {
      return std::nullopt;
    }
    const ws::FrameHeader header = ws::detail::read_header(bytes);
    if (rest.size() - header.size < header.payload) return std::nullopt;
    Frame got{header.opcode, header.fin, header.masked, rest.substr(header.size, header.payload)};
    for (std::size_t n = 0; n < got.payload.size(); ++n) {
      got.payload[n] = static_cast<char>(static_cast<unsigned char>(got.payload[n]) ^
                                         (header.mask >> (8 * (n % 4)) & 0xffU));
    }
    rest.erase(0, header.size + header.payload);
    return got;
  }
};

enum class ClientLeg : std::uint8_t { plain, tls };

struct Opening {
  ClientLeg client = ClientLeg::plain;
  int proxy_buffers = 0;  ///< kernel buffers, see set_buffers
  int peer_buffers = 0;
  std::string early_to_backend = {};
  std::string early_to_client = {};
  std::uint8_t allowed_rsv = 0;
  std::uint32_t token_lasts_100ms = 0;
  std::string upstream = "chat";
  Continuity continuity = Continuity::whole;
  /// Puts something around a leg before it is handed over; gets its descriptor.
  std::unique_ptr<net::Leg> (*wrap_client)(std::unique_ptr<net::Leg>, int) = nullptr;
};

struct Ends {
  End client;
  End backend;
};

/// Keeps the shard's thread from its events until `go`.
struct Standstill final : ShardItem {
  std::promise<void> begun;
  std::future<void> go;
  void deliver_to(Shard&) noexcept override {
    begun.set_value();
    go.wait();
  }
};

class Running {
 public:
  static constexpr std::uint64_t ping_marker = 0x1122334455667788ULL;

  Running() {
    route.close_timeout_ms = 60'000;  // a test that depends on it makes it tiny
    route.ping_interval_ms = 0;
    route.hold_bytes = 0;  // everything is streamed, unless a test says otherwise
    thread_ = std::thread([this] { shard.run(); });
  }
  ~Running() {
    shard.stop();
    thread_.join();
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  Ends open(const Opening& how = {}) {
    net::test::Pair front = net::test::tcp_pair(how.proxy_buffers, how.peer_buffers);
    net::test::Pair back = net::test::tcp_pair(how.proxy_buffers, how.peer_buffers);
    const int client_descriptor = front.theirs.get();
    const int backend_descriptor = back.theirs.get();
    const int our_descriptor = front.ours.get();
    const auto there = how.upstream == upstream->name()
                           ? backend
                           : std::make_shared<upstream::Backend>(how.upstream, "127.0.0.1:3");
    auto handover = std::make_unique<Handover>(*upstream::Seat::take(there));
    std::unique_ptr<net::Leg> client_end;
    if (how.client == ClientLeg::tls) {
      const net::test::Identity& known = net::test::identity();
      auto ours = net::make_tls_server_leg(std::move(front.ours), *known.server);
      auto theirs = net::make_tls_client_leg(std::move(front.theirs), *known.client, "localhost");
      net::test::shake_hands(*ours, *theirs);
      handover->client = std::move(ours);
      client_end = std::move(theirs);
    } else {
      handover->client = net::make_plain_leg(std::move(front.ours));
      client_end = net::make_plain_leg(std::move(front.theirs));
    }
    if (how.wrap_client != nullptr)
      handover->client = how.wrap_client(std::move(handover->client), our_descriptor);
    handover->backend = net::make_plain_leg(std::move(back.ours));
    handover->route = &route;
    handover->id.bytes[0] = 1;
    handover->continuation =
        Continuation::make(Continuation::Head{"GET / HTTP/1.1\r\n", nullptr, "", 0}, "", "");
    handover->open_sessions = &sessions;
    handover->early_to_backend = how.early_to_backend;
    handover->early_to_client = how.early_to_client;
    handover->allowed_rsv = how.allowed_rsv;
    handover->token_lasts_100ms = how.token_lasts_100ms;
    handover->continuity = how.continuity;
    shard.expect_one();
    shard.send(std::move(handover));
    return {End(std::move(client_end), client_descriptor),
            End(net::make_plain_leg(std::move(back.theirs)), backend_descriptor)};
  }
  /// Which also says that it really runs: both directions carry a message.
  Ends open_and_greet(const Opening& how = {}) {
    Ends ends = open(how);
    ends.client.send(from_client("ping?"));
    REQUIRE(ends.backend.expect_past_pings().payload == "ping?");
    ends.backend.send(from_backend("pong!"));
    REQUIRE(ends.client.expect_past_pings().payload == "pong!");
    return ends;
  }

  /// Another backend for who asked.
  End answer(const Attempt& attempt, const std::string& early = {}) {
    net::test::Pair back = net::test::tcp_pair(0, 0);
    const int descriptor = back.theirs.get();
    auto reply = std::make_unique<AttemptReply>();
    reply->session = attempt.session;
    reply->number = attempt.number;
    reply->result = AttemptResult::ready;
    reply->leg = net::make_plain_leg(std::move(back.ours));
    reply->seat = upstream::Seat::take(other_backend);
    reply->early = early;
    shard.send(std::move(reply));
    return End(net::make_plain_leg(std::move(back.theirs)), descriptor);
  }
  /// Everything that was sent to the shard before has been taken; what goes through sockets may overtake it.
  void sync() {
    auto order = std::make_unique<ListSessions>();
    auto answer = order->answer.get_future();
    shard.send(std::move(order));
    answer.get();
  }
  void refuse(const Attempt& attempt, AttemptResult result) {
    auto reply = std::make_unique<AttemptReply>();
    reply->session = attempt.session;
    reply->number = attempt.number;
    reply->result = result;
    shard.send(std::move(reply));
  }

  std::shared_ptr<upstream::UpstreamState> upstream = std::make_shared<upstream::UpstreamState>("chat");
  std::shared_ptr<upstream::Backend> backend = std::make_shared<upstream::Backend>(upstream, "127.0.0.1:1");
  std::shared_ptr<upstream::Backend> other_backend =
      std::make_shared<upstream::Backend>(upstream, "127.0.0.1:2");
  Notes notes;
  Desk desk;
  metrics::RouteCells cells;
  metrics::PumpCells pump_cells;
  metrics::SessionCells sessions;
  RouteState route{"room", {&cells}};
  Shard shard{{0, pump_cells, notes, notes, ping_marker, &desk, 256ULL << 20, 1, nullptr, true}};

 private:
  std::thread thread_;
};

/// Reroutes are on, with little to hold and no waiting for quiet.
struct Rerouting : Running {
  Rerouting() {
    route.reroute_on = 0xf;
    route.hold_bytes = 1'000;
    route.quiet_ms = 0;
    const std::uint16_t codes[] = {1001, 1012, 1013};
    for (std::size_t n = 0; n < 3; ++n) route.close_codes[n] = codes[n];
  }
  void move(Cause cause) {
    if (cause == Cause::draining) backend->set_admin_state(upstream::AdminState::draining);
    if (cause == Cause::disabled) backend->set_admin_state(upstream::AdminState::disabled);
    if (cause == Cause::removed) backend->set_member(false);
    if (cause == Cause::unhealthy) backend->set_health(upstream::Health::unhealthy);
    shard.send(std::make_unique<MoveSessions>(MoveSessions::Backends{backend}, cause, 1'000));
  }
};

}  // namespace holdfast::session::test
