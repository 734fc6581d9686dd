#include "server/echo.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
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

std::string switching_protocols(const ws::ClientHandshake& request) {
  std::string answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
  answer += "Sec-WebSocket-Accept: " + ws::accept_key(request.key) + "\r\n";
  if (!request.subprotocols.empty())
    answer += "Sec-WebSocket-Protocol: " + request.subprotocols.front() + "\r\n";
  return answer + "\r\n";
}

// Empty when the client is gone or its request is no handshake.
asio::awaitable<std::string> shake_hands(net::AsyncLeg& leg, std::string& behind) {
  std::string bytes;
  std::size_t end = std::string::npos;
  while (end == std::string::npos && bytes.size() < ws::max_head_bytes) {
    const std::size_t before = bytes.size();
    bytes.resize(before + 4096);
    auto got = co_await leg.read_some(std::as_writable_bytes(std::span(bytes)).subspan(before));
    if (!got) co_return std::string();
    bytes.resize(before + got.value());
    end = ws::find_head_end(bytes, before);
  }
  auto head = ws::RequestHead::parse(std::string_view(bytes).substr(0, end));
  if (!head) co_return std::string();
  auto request = ws::check_request(head.value());
  if (!request) co_return std::string();
  behind = bytes.substr(end);
  co_return switching_protocols(request.value());
}

asio::awaitable<void> echo(asio::io_context& io, net::Socket socket, std::string name) {
  net::AsyncLeg leg(io, net::make_plain_leg(std::move(socket)), Side::client);
  std::string in;
  std::string out = co_await shake_hands(leg, in);
  if (out.empty()) co_return;
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

asio::awaitable<void> accept_loop(asio::io_context& io, int listener, std::string name) {
  asio::posix::stream_descriptor waiter(io, listener);
  for (;;) {
    const int descriptor = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor >= 0) {
      net::Socket socket(descriptor);
      net::set_no_delay(socket);
      asio::co_spawn(io, echo(io, std::move(socket), name), asio::detached);
      continue;
    }
    co_await waiter.async_wait(asio::posix::descriptor_base::wait_read, asio::as_tuple(asio::use_awaitable));
  }
}

}  // namespace

EchoBackend::EchoBackend(std::string name, net::Socket socket)
    : name_(std::move(name)),
      address_(net::to_text(net::local_address(socket))),
      listener_(std::move(socket)),
      io_(std::make_unique<asio::io_context>(1)) {
  asio::co_spawn(*io_, accept_loop(*io_, ::dup(listener_.get()), name_), asio::detached);
  thread_ = std::thread([this] { io_->run(); });
}

Result<std::unique_ptr<EchoBackend>> EchoBackend::start(std::string name) {
  std::string why;
  const auto address = config::parse_address("127.0.0.1:0", config::AddressUse::bind, why);
  auto socket = net::listen_on(address->sockets.front(), net::Sharing::exclusive);
  if (!socket) return socket.error();
  return std::unique_ptr<EchoBackend>(new EchoBackend(std::move(name), std::move(socket.value())));
}

void EchoBackend::stop() {
  if (io_ == nullptr) return;
  io_->stop();
  thread_.join();
  io_.reset();  // with it die the coroutines, their connections and the accepting descriptor
  listener_.reset();
}

}  // namespace holdfast::server
