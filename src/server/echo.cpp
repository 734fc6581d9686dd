#include "server/echo.hpp"

#include <boost/asio/use_awaitable.hpp>

#include "holdfast/net/async_leg.hpp"
#include "holdfast/ws/handshake.hpp"
#include "holdfast/ws/walker.hpp"

namespace holdfast::server {

namespace asio = boost::asio;

namespace {

constexpr std::size_t read_chunk_bytes = 16 * 1024;

void append(std::string& out, std::span<const std::byte> bytes) {
  out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

// What a client's frames become on their way back: the same frames without their masks.
class Mirror {
 public:
  /// Appends to `out` and returns how many bytes of `in` were used; false in `open` after a Close or a broken
  /// rule.
  std::size_t reflect(std::span<const std::byte> in, std::string& out) {
    std::size_t used = 0;
    while (open_) {
      const auto rest = in.subspan(used);
      const ws::Step step = walker_.next(rest, {});
      if (step.kind == ws::StepKind::need_more) break;
      if (step.kind == ws::StepKind::violation) {
        append(out, ws::encode_close(ws::close_code_for(step.violation), {}, std::nullopt).view());
        open_ = false;
        break;
      }
      if (step.kind == ws::StepKind::control) {
        control(rest.first(step.size), step.header, out);
      } else {
        data(rest.first(step.size), step, out);
      }
      used += step.size;
    }
    return used;
  }
  [[nodiscard]] bool open() const noexcept { return open_; }

 private:
  void control(std::span<const std::byte> frame, const ws::FrameHeader& header, std::string& out) {
    const ws::ControlPayload payload = ws::control_payload(frame, header);
    if (header.opcode == ws::Opcode::ping) append(out, ws::encode_pong(payload.view(), std::nullopt).view());
    if (header.opcode != ws::Opcode::close) return;
    append(out, ws::encode_close(ws::close_code(payload), ws::close_reason(payload), std::nullopt).view());
    open_ = false;
  }

  void data(std::span<const std::byte> part, const ws::Step& step, std::string& out) {
    if (step.starts_frame) {
      ws::FrameHeader header = step.header;
      std::memcpy(mask_.data(), &header.mask, mask_.size());
      mask_at_ = 0;
      header.masked = false;
      std::array<std::byte, ws::max_header_bytes> bytes;
      append(out, std::span(bytes).first(ws::write_header(bytes, header)));
      part = part.subspan(step.header.size);
    }
    for (const std::byte byte : part) out += static_cast<char>(byte ^ mask_[mask_at_++ % mask_.size()]);
  }

  ws::Walker walker_{ws::Sender::client};
  std::array<std::byte, 4> mask_{};
  std::size_t mask_at_ = 0;
  bool open_ = true;
};

asio::awaitable<void> echo(asio::io_context& io, net::Socket socket, std::string name) {
  net::AsyncLeg leg(io, net::make_plain_leg(std::move(socket)), Side::client);
  Greeting hello = co_await shake_hands(leg);
  if (hello.answer.empty()) co_return;
  std::string in = std::move(hello.behind);
  std::string out = std::move(hello.answer);
  const std::string greeting = "you are on " + name;
  std::array<std::byte, ws::max_header_bytes> header;
  append(out, std::span(header).first(
                  ws::write_header(header, {.opcode = ws::Opcode::text, .payload = greeting.size()})));
  out += greeting;
  Mirror mirror;
  for (;;) {
    in.erase(0, mirror.reflect(std::as_bytes(std::span(in)), out));
    auto written = co_await leg.write_all(out);
    if (!written) co_return;
    if (!mirror.open()) break;
    out.clear();
    const std::size_t before = in.size();
    in.resize(before + read_chunk_bytes);
    auto got = co_await leg.read_some(std::as_writable_bytes(std::span(in)).subspan(before));
    if (!got) co_return;
    in.resize(before + got.value());
  }
  co_await leg.linger();
}

}  // namespace

Result<std::unique_ptr<EchoBackend>> EchoBackend::start(std::string name) {
  auto server = LoopbackServer::start(
      [name](asio::io_context& io, net::Socket socket) { return echo(io, std::move(socket), name); });
  if (!server) return server.error();
  return std::unique_ptr<EchoBackend>(new EchoBackend(std::move(name), std::move(server.value())));
}

}  // namespace holdfast::server
