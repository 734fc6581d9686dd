#include "server/loopback.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "holdfast/ws/handshake.hpp"

namespace holdfast::server {

namespace asio = boost::asio;

namespace {

std::string switching_protocols(const ws::ClientHandshake& request) {
  std::string answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
  answer += "Sec-WebSocket-Accept: " + ws::accept_key(request.key) + "\r\n";
  if (!request.subprotocols.empty())
    answer += "Sec-WebSocket-Protocol: " + request.subprotocols.front() + "\r\n";
  return answer + "\r\n";
}

asio::awaitable<void> accept_loop(asio::io_context& io, int listener, const LoopbackServer::Serve& serve) {
  asio::posix::stream_descriptor waiter(io, listener);
  for (;;) {
    const int descriptor = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor >= 0) {
      net::Socket socket(descriptor);
      net::set_no_delay(socket);
      asio::co_spawn(io, serve(io, std::move(socket)), asio::detached);
      continue;
    }
    co_await waiter.async_wait(asio::posix::descriptor_base::wait_read, asio::as_tuple(asio::use_awaitable));
  }
}

}  // namespace

asio::awaitable<Greeting> shake_hands(net::AsyncLeg& leg) {
  Greeting greeting;
  std::string bytes;
  std::size_t end = std::string::npos;
  while (end == std::string::npos && bytes.size() < ws::max_head_bytes) {
    const std::size_t before = bytes.size();
    bytes.resize(before + 4096);
    auto got = co_await leg.read_some(std::as_writable_bytes(std::span(bytes)).subspan(before));
    if (!got) co_return greeting;
    bytes.resize(before + got.value());
    end = ws::find_head_end(bytes, before);
  }
  auto head = ws::RequestHead::parse(std::string_view(bytes).substr(0, end));
  if (!head) co_return greeting;
  auto request = ws::check_request(head.value());
  if (!request) co_return greeting;
  greeting.answer = switching_protocols(request.value());
  greeting.target = head.value().target();
  greeting.behind = bytes.substr(end);
  co_return greeting;
}

LoopbackServer::LoopbackServer(net::Socket socket, Serve serve)
    : address_(net::to_text(net::local_address(socket))),
      serve_(std::move(serve)),
      listener_(std::move(socket)),
      io_(std::make_unique<asio::io_context>(1)) {
  asio::co_spawn(*io_, accept_loop(*io_, ::dup(listener_.get()), serve_), asio::detached);
  thread_ = std::thread([this] { io_->run(); });
}

Result<std::unique_ptr<LoopbackServer>> LoopbackServer::start(Serve serve) {
  std::string why;
  const auto address = config::parse_address("127.0.0.1:0", config::AddressUse::bind, why);
  auto socket = net::listen_on(address->sockets.front(), net::Sharing::exclusive);
  if (!socket) return socket.error();
  return std::unique_ptr<LoopbackServer>(new LoopbackServer(std::move(socket.value()), std::move(serve)));
}

void LoopbackServer::stop() {
  if (io_ == nullptr) return;
  io_->stop();
  thread_.join();
  io_.reset();  // with it die the coroutines, their connections and the accepting descriptor
  listener_.reset();
}

}  // namespace holdfast::server
