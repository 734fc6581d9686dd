// Story: a head has to please our own split and Beast's parser, but the second one is only asked about fields
// whose values it judges. Whatever else we take, it must take, too: two parsers that disagree about a head
// are how requests are smuggled.
#include <doctest/doctest.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <random>
#include <string>
#include <string_view>

#include "holdfast/ws/head.hpp"

namespace holdfast::ws {
namespace {

namespace http = boost::beast::http;

template <bool is_request>
bool pleases_beast(const std::string& bytes) {
  http::parser<is_request, http::empty_body> parser;
  parser.header_limit(static_cast<std::uint32_t>(max_head_bytes + 1));
  parser.body_limit(boost::none);
  parser.skip(true);
  boost::beast::error_code error;
  parser.put(boost::asio::buffer(bytes), error);
  return !error && parser.is_header_done();
}

constexpr std::array<std::string_view, 4> requests{
    "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "GET /a?b=%20 HTTP/1.1\r\nHost: [::1]:80\r\nConnection: keep-alive, Upgrade\r\nCookie: a=1; "
    "b\r\nX:\t\r\n\r\n",
    "GET / HTTP/1.0\r\nContent-Length: 0\r\nTransfer-Encoding: gzip, chunked\r\nProxy-Connection: "
    "close\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nTE: trailers\r\nConnection: ,TE, ,\r\nHTTP2-Settings: x\r\nA: \x80\xff\r\n\r\n"};
constexpr std::array<std::string_view, 4> answers{
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "HTTP/1.1 200 \r\nContent-Length: 10\r\nSet-Cookie: a\r\nConnection: close\r\n\r\n",
    "HTTP/1.0 503 No\tway \x80\r\nRetry-After: 1\r\n\r\n",
    "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\nProxy-Connection: keep-alive, a\r\n\r\n"};
// What a byte, or a place between two, is made into.
constexpr std::array<std::string_view, 30> pieces{
    "",        " ",     "\t", "\r", "\n",    "\r\n", ":",          ",",     ";", "\"",
    "\x7f",    "\x80",  "(",  "/",  "0",     "1",    "9",          "HTTP/", "#", "?",
    "chunked", "close", "+",  "-",  "\r\n ", "\x01", "Connection", "Host",  "%", "Content-Length: 1\r\n"};

std::string changed(std::string bytes, std::mt19937& random) {
  for (auto changes = random() % 4 + 1; changes > 0; --changes) {
    const std::size_t at = random() % (bytes.size() + 1);
    const std::size_t taken = random() % 2 == 0 ? 0 : random() % 3;
    bytes.replace(at, taken, pieces[random() % pieces.size()]);
  }
  return bytes;
}

template <class Head, bool is_request>
int taken_of(const std::array<std::string_view, 4>& seeds) {
  std::mt19937 random(20261126);
  int taken = 0;
  for (int n = 0; n < 60'000; ++n) {
    const std::string bytes = changed(std::string(seeds[static_cast<std::size_t>(n) % seeds.size()]), random);
    if (!Head::parse(bytes)) continue;
    ++taken;
    CAPTURE(bytes);
    REQUIRE(pleases_beast<is_request>(bytes));
  }
  return taken;
}

TEST_CASE("whatever request we take, Beast takes") {
  CHECK(taken_of<RequestHead, true>(requests) > 6'000);
}

TEST_CASE("whatever answer we take, Beast takes") {
  CHECK(taken_of<ResponseHead, false>(answers) > 6'000);
}

}  // namespace
}  // namespace holdfast::ws
