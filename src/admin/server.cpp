#include "holdfast/admin/server.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <set>
#include <utility>

#include "admin/api.hpp"
#include "admin/socket.hpp"

namespace holdfast::admin {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

constexpr std::size_t max_connections = 32;
constexpr std::uint32_t max_head_bytes = 8 * 1024;
constexpr std::uint64_t max_body_bytes = 64 * 1024;
constexpr std::chrono::seconds idle_timeout{10};
constexpr std::chrono::milliseconds pause_after_error{100};
// Results come as values: nothing here throws on what a peer does.
constexpr auto as_values = asio::as_tuple(asio::use_awaitable);

using HttpRequest = http::request<http::string_body>;
using HttpResponse = http::response<http::string_body>;

Request to_request(const HttpRequest& message) {
  Request out;
  out.method = std::string(message.method_string());
  out.target = std::string(message.target());
  out.host = std::string(message[http::field::host]);
  out.host_count = message.count(http::field::host);
  if (message.count(http::field::origin) != 0) out.origin = std::string(message[http::field::origin]);
  if (message.count(http::field::authorization) != 0) {
    out.authorization = std::string(message[http::field::authorization]);
  }
  return out;
}

HttpResponse to_response(Reply reply, unsigned version) {
  HttpResponse out(static_cast<http::status>(reply.status), version);
  out.set(http::field::content_type, reply.content_type);
  out.set(http::field::cache_control, "no-store");
  out.set("X-Content-Type-Options", "nosniff");
  if (!reply.allow.empty()) out.set(http::field::allow, reply.allow);
  if (!reply.challenge.empty()) out.set(http::field::www_authenticate, reply.challenge);
  out.body() = std::move(reply.body);
  out.prepare_payload();
  return out;
}

// Nothing if the connection just ended or went silent: there is nobody to answer.
std::optional<Reply> reply_to_broken(const error_code& error) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return error_reply(431, "the request head is larger than 8 KiB");
  }
  if (error == http::error::body_limit) return error_reply(413, "the request body is larger than 64 KiB");
  const bool is_http = error.category() == http::make_error_code(http::error::end_of_stream).category();
  const bool is_end = error == http::error::end_of_stream || error == http::error::partial_message;
  if (!is_http || is_end) return std::nullopt;
  return error_reply(400, "not a valid HTTP request: " + error.message());
}

}  // namespace

struct Server::State {
  State(asio::io_context& context, Control& to_ask) : io(context), control(to_ask) {}

  asio::io_context& io;
  Control& control;
  config::Admin settings;
  std::shared_ptr<Acceptor> acceptor;  // shared with its accept loop
  std::set<Stream*> streams;           // open connections, each owned by its coroutine
};

namespace {

// Takes a stream out of the set when its coroutine ends, however it ends.
template <class Streams>
class Registration {
 public:
  Registration(Streams& streams, Stream& stream) : streams_(streams), stream_(stream) {
    streams_.insert(&stream_);
  }
  ~Registration() { streams_.erase(&stream_); }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;

 private:
  Streams& streams_;
  Stream& stream_;
};

template <class State>
asio::awaitable<void> serve(std::shared_ptr<State> state, Stream stream) {
  const Registration registration(state->streams, stream);
  const bool too_many = state->streams.size() > max_connections;
  beast::flat_buffer buffer(2 * max_head_bytes);
  while (true) {
    http::request_parser<http::string_body> parser;
    parser.header_limit(max_head_bytes);
    parser.body_limit(max_body_bytes);
    stream.expires_after(idle_timeout);
    const auto [error, got] = co_await http::async_read(stream, buffer, parser, as_values);
    std::optional<Reply> reply;
    if (error) {
      reply = reply_to_broken(error);
    } else if (too_many) {
      reply = error_reply(503, "too many connections");
    } else {
      reply = handle(to_request(parser.get()), state->settings, state->control);
    }
    if (!reply) break;
    HttpResponse response = to_response(std::move(*reply), error ? 11U : parser.get().version());
    response.keep_alive(!error && !too_many && parser.get().keep_alive());
    // HEAD: the fields of a GET, Content-Length included, and no body.
    if (!error && parser.get().method() == http::verb::head) response.body().clear();
    stream.expires_after(idle_timeout);
    const auto [write_error, sent] = co_await http::async_write(stream, response, as_values);
    if (write_error || !response.keep_alive()) break;
  }
  co_await linger(stream);
}

template <class State>
asio::awaitable<void> accept_all(std::shared_ptr<State> state, std::shared_ptr<Acceptor> acceptor) {
  // Connections above the limit are answered, but not without a bound either.
  constexpr std::size_t hard_limit = 2 * max_connections;
  asio::steady_timer timer(state->io);
  while (acceptor->is_open()) {
    auto [error, socket] = co_await acceptor->async_accept(as_values);
    if (error == asio::error::operation_aborted) break;
    if (error) {
      // Out of descriptors, most likely: trying again at once would spin.
      timer.expires_after(pause_after_error);
      co_await timer.async_wait(as_values);
      continue;
    }
    if (state->streams.size() >= hard_limit) continue;  // closes the socket
    asio::co_spawn(state->io, serve(state, Stream(std::move(socket))), asio::detached);
  }
}

}  // namespace

Server::Server(asio::io_context& io, Control& control) : state_(std::make_shared<State>(io, control)) {}

Server::~Server() {
  close();
}

Result<void> Server::apply(const config::Admin& settings) {
  const bool same = state_->acceptor && settings.bind && settings.bind == state_->settings.bind;
  if (!settings.bind) {
    close();
  } else if (!same) {
    auto acceptor = open_acceptor(state_->io, *settings.bind);
    if (!acceptor) return acceptor.error();  // everything stays: socket, token and all
    if (state_->acceptor) close_acceptor(*state_->acceptor);
    state_->acceptor = std::make_shared<Acceptor>(std::move(*acceptor));
    asio::co_spawn(state_->io, accept_all(state_, state_->acceptor), asio::detached);
  }
  state_->settings = settings;
  return {};
}

std::uint16_t Server::port() const noexcept {
  return state_->acceptor ? port_of(*state_->acceptor) : std::uint16_t{0};
}

void Server::close() {
  if (state_->acceptor) close_acceptor(*state_->acceptor);
  state_->acceptor.reset();
  for (Stream* stream : state_->streams) stream->close();
}

}  // namespace holdfast::admin
