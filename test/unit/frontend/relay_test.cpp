// A backend's plain HTTP answer on its way to the client: as many bytes as belong to it, cut anywhere.
#include "frontend/relay.hpp"

#include <doctest/doctest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <exception>
#include <optional>

#include "unit/net/pair.hpp"

namespace holdfast::frontend {
namespace {

namespace asio = boost::asio;
using net::test::patience;
using net::test::Peer;

struct Relayed {
  std::string client;  ///< what it got, without the head
  bool ok = false;
};

enum class Backend : std::uint8_t { closes, stays };

std::string behind_head(const std::string& bytes) {
  const auto end = bytes.find("\r\n\r\n");
  REQUIRE(end != std::string::npos);
  return bytes.substr(end + 4);
}

// `behind` came with the head, `pieces` follow one by one, each only when the one before has gone through.
Relayed relay(const std::string& head_text, const std::string& behind, const std::vector<std::string>& pieces,
              Backend how) {
  asio::io_context io{1};
  net::test::Pair front = net::test::tcp_pair();
  net::test::Pair back = net::test::tcp_pair();
  const int client_descriptor = front.theirs.get();
  const int backend_descriptor = back.theirs.get();
  Peer client(net::make_plain_leg(std::move(front.theirs)), client_descriptor);
  Peer backend(net::make_plain_leg(std::move(back.theirs)), backend_descriptor);
  auto front_leg =
      std::make_unique<net::AsyncLeg>(io, net::make_plain_leg(std::move(front.ours)), Side::client);
  net::AsyncLeg back_leg(io, net::make_plain_leg(std::move(back.ours)), Side::backend);
  auto head = ws::ResponseHead::parse(head_text);
  REQUIRE(head.has_value());
  std::optional<bool> done;
  asio::co_spawn(io, relay_answer(*front_leg, back_leg, {std::move(head.value()), behind}),
                 [&](std::exception_ptr error, Result<void> outcome) {
                   done = error == nullptr && outcome.has_value();
                 });
  for (const std::string& piece : pieces) {
    io.restart();
    while (io.poll() > 0) {
    }
    if (!done) backend.send(piece);
  }
  if (how == Backend::closes) backend.close();
  const TimePoint deadline = Clock::now() + patience;
  while (!done && Clock::now() < deadline) {
    io.restart();
    io.run_for(Milliseconds(20));
  }
  REQUIRE(done.has_value());
  front_leg.reset();
  return {behind_head(client.read_to_end()), *done};
}

const std::string with_length = "HTTP/1.1 403 Forbidden\r\nContent-Length: 11\r\n\r\n";
const std::string chunked = "HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n";
const std::string until_close = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n";
const std::string chunks = "5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nTrailer: t\r\n\r\n";

TEST_CASE("a body with a length ends there, whatever follows and however it is cut") {
  const std::string body = "hello world";
  CHECK(relay(with_length, body, {}, Backend::stays).client == body);
  CHECK(relay(with_length, body + "HTTP/1.1 200 OK\r\n\r\n", {}, Backend::stays).client == body);
  for (std::size_t cut = 0; cut <= body.size(); ++cut) {
    CAPTURE(cut);
    CHECK(relay(with_length, body.substr(0, cut), {body.substr(cut) + "extra"}, Backend::stays).client ==
          body);
  }
}

TEST_CASE("an empty body needs no more bytes") {
  const std::string empty = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
  CHECK(relay(empty, "", {}, Backend::stays).client.empty());
  CHECK(relay("HTTP/1.1 304 Not Modified\r\n\r\n", "", {}, Backend::stays).client.empty());
}

TEST_CASE("a chunked body passes untouched with its trailer, cut at any byte") {
  CHECK(relay(chunked, chunks, {}, Backend::stays).client == chunks);
  for (std::size_t cut = 0; cut <= chunks.size(); ++cut) {
    CAPTURE(cut);
    const Relayed got = relay(chunked, chunks.substr(0, cut), {chunks.substr(cut) + "more"}, Backend::stays);
    CHECK(got.client == chunks);
    CHECK(got.ok);
  }
}

TEST_CASE("a chunked body that comes byte by byte passes") {
  std::vector<std::string> pieces;
  for (const char each : chunks) pieces.emplace_back(1, each);
  CHECK(relay(chunked, "", pieces, Backend::stays).client == chunks);
}

TEST_CASE("a long body passes whole") {
  const std::string body(300'000, 'b');
  const std::string head = "HTTP/1.1 500 Oops\r\nContent-Length: 300000\r\n\r\n";
  CHECK((relay(head, body.substr(0, 1000), {body.substr(1000)}, Backend::stays).client == body));
  const std::string coded = "493e0\r\n" + body + "\r\n0\r\n\r\n";
  CHECK((relay(chunked, coded.substr(0, 3), {coded.substr(3)}, Backend::stays).client == coded));
}

TEST_CASE("a body without a length ends with the connection") {
  const Relayed got = relay(until_close, "first ", {"second ", "third"}, Backend::closes);
  CHECK(got.client == "first second third");
  CHECK(got.ok);
}

TEST_CASE("a body that stops short is passed on as far as it came") {
  CHECK(relay(with_length, "hello", {}, Backend::closes).client == "hello");
  CHECK(relay(chunked, chunks.substr(0, 9), {}, Backend::closes).client == chunks.substr(0, 9));
}

TEST_CASE("a chunked body that is none ends the relay instead of hanging") {
  const Relayed got = relay(chunked, "zz\r\nnot a chunk\r\n", {}, Backend::stays);
  CHECK(got.client.size() <= 17);
}

TEST_CASE("a chunk head that never ends ends the relay instead of being kept") {
  const std::vector<std::string> endless(8, std::string(1024, 'e'));
  const Relayed got = relay(chunked, "5;", endless, Backend::stays);
  CHECK(got.client.size() < 8 * 1024);
}

}  // namespace
}  // namespace holdfast::frontend
