#include "server/market.hpp"

#include <boost/asio/use_awaitable.hpp>
#include <vector>

#include "holdfast/base/clock.hpp"
#include "holdfast/ws/handshake.hpp"
#include "holdfast/ws/walker.hpp"
#include "server/market_session.hpp"
#include "server/market_walk.hpp"

namespace holdfast::server {

namespace asio = boost::asio;

namespace {

using std::chrono::milliseconds;

constexpr std::size_t read_chunk_bytes = 16 * 1024;
constexpr std::size_t max_message_bytes = 64 * 1024;
constexpr milliseconds turn{20};  // how long an event waits for others
constexpr std::chrono::seconds write_patience{10};

void append(std::string& out, std::span<const std::byte> bytes) {
  out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void append_text(std::string& out, std::string_view text) {
  std::array<std::byte, ws::max_header_bytes> header;
  append(out, std::span(header).first(
                  ws::write_header(header, {.opcode = ws::Opcode::text, .payload = text.size()})));
  out += text;
}

// One connection: what it asked for, and the frames that wait to be written to it.
class Visitor {
 public:
  explicit Visitor(std::string_view target) : session_(target) {}

  /// Answers what is in `in`; returns how many bytes of it were used. After a Close or a broken rule `open`
  /// is false and the last words are in `out`.
  std::size_t hear(std::span<const std::byte> in) {
    std::size_t used = 0;
    while (open_) {
      const auto rest = in.subspan(used);
      const ws::Step step = walker_.next(rest, {.max_message = max_message_bytes});
      if (step.kind == ws::StepKind::need_more) break;
      if (step.kind == ws::StepKind::violation) {
        append(out_, ws::encode_close(ws::close_code_for(step.violation), {}, std::nullopt).view());
        open_ = false;
        break;
      }
      if (step.kind == ws::StepKind::control) {
        control(rest.first(step.size), step.header);
      } else {
        data(rest.first(step.size), step);
      }
      used += step.size;
    }
    return used;
  }

  void tell(const MarketEvent& event) {
    if (session_.wants(event.stream)) append_text(out_, session_.told(event.stream, event.data));
  }

  [[nodiscard]] bool open() const noexcept { return open_; }
  [[nodiscard]] std::string take_out() { return std::exchange(out_, {}); }

 private:
  void control(std::span<const std::byte> frame, const ws::FrameHeader& header) {
    const ws::ControlPayload payload = ws::control_payload(frame, header);
    if (header.opcode == ws::Opcode::ping) append(out_, ws::encode_pong(payload.view(), std::nullopt).view());
    if (header.opcode != ws::Opcode::close) return;
    append(out_, ws::encode_close(ws::close_code(payload), ws::close_reason(payload), std::nullopt).view());
    open_ = false;
  }

  void data(std::span<const std::byte> part, const ws::Step& step) {
    if (step.starts_frame) {
      std::memcpy(mask_.data(), &step.header.mask, mask_.size());
      mask_at_ = 0;
      part = part.subspan(step.header.size);
    }
    for (const std::byte byte : part) message_ += static_cast<char>(byte ^ mask_[mask_at_++ % mask_.size()]);
    if (walker_.at_message_boundary()) append_text(out_, session_.answer(std::exchange(message_, {})));
  }

  MarketSession session_;
  ws::Walker walker_{ws::Sender::client};
  std::array<std::byte, 4> mask_{};
  std::size_t mask_at_ = 0;
  std::string message_;
  std::string out_;
  bool open_ = true;
};

}  // namespace

// The market and who is there to hear of it. Lives on the server's thread but for its construction and end.
class MarketSource::Floor {
 public:
  explicit Floor(std::uint64_t seed)
      : walk_(seed,
              std::chrono::duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch())) {
  }

  asio::awaitable<void> serve(asio::io_context& io, net::Socket socket) {
    net::AsyncLeg leg(io, net::make_plain_leg(std::move(socket)), Side::client);
    leg.expires_at(Clock::now() + write_patience);
    Greeting greeting = co_await shake_hands(leg);
    if (greeting.answer.empty()) co_return;
    Visitor visitor(greeting.target);
    const Presence presence(*this, visitor);
    std::string in = std::move(greeting.behind);
    std::string out = std::move(greeting.answer);
    for (;;) {
      in.erase(0, visitor.hear(std::as_bytes(std::span(in))));
      catch_up();
      out += visitor.take_out();
      leg.expires_at(Clock::now() + write_patience);
      auto written = co_await leg.write_all(out);
      if (!written) co_return;
      if (!visitor.open()) break;
      out.clear();
      const std::size_t before = in.size();
      in.resize(before + read_chunk_bytes);
      leg.expires_at(Clock::now() + turn);
      auto got = co_await leg.read_some(std::as_writable_bytes(std::span(in)).subspan(before));
      in.resize(before + (got ? got.value() : 0));
      if (!got && got.error().failure != Failure::timeout) co_return;
    }
    co_await leg.linger();
  }

 private:
  // A visitor is told of events from its making to its end.
  class Presence {
   public:
    Presence(Floor& floor, Visitor& visitor) : floor_(floor), visitor_(visitor) {
      if (floor_.visitors_.empty()) floor_.looked_ = Clock::now();
      floor_.visitors_.push_back(&visitor);
    }
    ~Presence() { std::erase(floor_.visitors_, &visitor_); }
    Presence(const Presence&) = delete;
    Presence& operator=(const Presence&) = delete;

   private:
    Floor& floor_;
    Visitor& visitor_;
  };

  // Whoever comes along moves the market on for all.
  void catch_up() {
    const TimePoint now = Clock::now();
    elapsed_ += now - looked_;
    looked_ = now;
    events_.clear();
    walk_.advance(std::chrono::duration_cast<milliseconds>(elapsed_), events_);
    for (const MarketEvent& event : events_)
      for (Visitor* visitor : visitors_) visitor->tell(event);
  }

  MarketWalk walk_;
  TimePoint looked_{};
  Clock::duration elapsed_{};
  std::vector<MarketEvent> events_;
  std::vector<Visitor*> visitors_;
};

MarketSource::MarketSource(std::unique_ptr<Floor> floor) : floor_(std::move(floor)) {}
MarketSource::~MarketSource() = default;

Result<std::unique_ptr<MarketSource>> MarketSource::start(std::uint64_t seed) {
  std::unique_ptr<MarketSource> source(new MarketSource(std::make_unique<Floor>(seed)));
  auto server =
      LoopbackServer::start([floor = source->floor_.get()](asio::io_context& io, net::Socket socket) {
        return floor->serve(io, std::move(socket));
      });
  if (!server) return server.error();
  source->server_ = std::move(server.value());
  return source;
}

}  // namespace holdfast::server
