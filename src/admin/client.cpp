#include "holdfast/admin/client.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <exception>
#include <optional>
#include <utility>
#include <vector>

#include "admin/socket.hpp"

namespace holdfast::admin {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

constexpr std::uint64_t max_answer_bytes = 64ULL << 20U;
constexpr auto as_values = asio::as_tuple(asio::use_awaitable);

using HttpRequest = http::request<http::empty_body>;
using Outcome = Result<Response>;

Error failed(const std::string& url, const std::string& why) {
  return {Failure::refused, Side::us, Retry::no, "no answer from " + url + ": " + why};
}

// "http://HOST:PORT/" to "HOST:PORT"; "unix:PATH" stays.
std::optional<config::Address> address_of(std::string url, std::string& why) {
  const std::string scheme = "http://";
  if (url.rfind(scheme, 0) == 0) url.erase(0, scheme.size());
  const bool is_unix = url.rfind("unix:", 0) == 0;
  if (!is_unix && !url.empty() && url.back() == '/') url.pop_back();
  return config::parse_address(url, config::AddressUse::backend, why);
}

asio::awaitable<std::vector<Protocol::endpoint>> endpoints_of(asio::io_context& io, config::Address address) {
  std::vector<Protocol::endpoint> out;
  for (const config::SocketAddress& socket : address.sockets) out.push_back(to_endpoint(socket));
  if (!out.empty()) co_return out;
  asio::ip::tcp::resolver resolver(io);
  const std::string port = std::to_string(address.port);
  const auto [error, results] = co_await resolver.async_resolve(address.host, port, as_values);
  if (error) co_return out;
  for (const auto& entry : results) out.emplace_back(entry.endpoint());
  co_return out;
}

asio::awaitable<Outcome> exchange(asio::io_context& io, config::Address address, HttpRequest request) {
  const std::vector<Protocol::endpoint> endpoints = co_await endpoints_of(io, address);
  if (endpoints.empty()) co_return failed(address.text, "the host name does not resolve");
  Stream stream(io);
  error_code error;
  for (const Protocol::endpoint& endpoint : endpoints) {
    stream.close();
    const auto [connect_error] = co_await stream.async_connect(endpoint, as_values);
    error = connect_error;
    if (!error) break;
  }
  if (error) co_return failed(address.text, error.message());
  const auto [write_error, sent] = co_await http::async_write(stream, request, as_values);
  if (write_error) co_return failed(address.text, write_error.message());
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(max_answer_bytes);
  const auto [read_error, got] = co_await http::async_read(stream, buffer, parser, as_values);
  if (read_error) co_return failed(address.text, read_error.message());
  co_return Response{parser.get().result_int(), std::move(parser.get().body())};
}

Outcome send(http::verb method, const Access& access, const std::string& target) {
  std::string why;
  const auto address = address_of(access.url, why);
  if (!address) return failed(access.url, "an admin URL is http://HOST:PORT or unix:PATH");
  constexpr unsigned http_1_1 = 11;
  HttpRequest request(method, target, http_1_1);
  request.set(http::field::host, address->host.empty() ? "localhost" : address->text);
  if (!access.token.empty()) request.set(http::field::authorization, "Bearer " + access.token);
  request.keep_alive(false);
  request.prepare_payload();

  asio::io_context io;
  Outcome outcome = failed(access.url, "it took longer than 10 seconds");
  asio::co_spawn(io, exchange(io, *address, std::move(request)),
                 [&outcome](std::exception_ptr, Outcome result) { outcome = std::move(result); });
  io.run_for(client_timeout);
  return outcome;
}

}  // namespace

Result<Response> get(const Access& access, const std::string& target) {
  return send(http::verb::get, access, target);
}

Result<Response> post(const Access& access, const std::string& target) {
  return send(http::verb::post, access, target);
}

}  // namespace holdfast::admin
