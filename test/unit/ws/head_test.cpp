#include "holdfast/ws/head.hpp"

#include <doctest/doctest.h>

#include <string>

namespace holdfast::ws {
namespace {

using namespace std::string_literals;

unsigned status_of(const std::string& bytes) {
  const auto head = RequestHead::parse(bytes);
  return head ? 0 : head.error().status;
}

Body body_of(const std::string& bytes) {
  return ResponseHead::parse(bytes).value().body();
}

bool is_garbage(const std::string& bytes) {
  const auto head = ResponseHead::parse(bytes);
  return head.has_error() && head.error().status == 502;
}

TEST_CASE("a request head keeps its target byte for byte and its fields in order") {
  const auto head = RequestHead::parse(
      "GET /a%20b/../?x=1&y=%zz HTTP/1.1\r\nHost: h\r\nB:  two \t\r\na: \r\nb: three\r\n\r\n");
  REQUIRE(head.has_value());
  CHECK(head->method() == "GET");
  CHECK(head->target() == "/a%20b/../?x=1&y=%zz");
  CHECK(head->version() == 11);
  REQUIRE(head->size() == 4);
  CHECK((*head)[0].name == "Host");
  CHECK((*head)[1].value == "two");
  CHECK((*head)[2].value.empty());
  CHECK(head->find("B") == "two");
  CHECK(head->count("b") == 2);
  CHECK(head->values("b") == std::vector<std::string_view>{"two", "three"});
  CHECK_FALSE(head->find("c").has_value());
}

TEST_CASE("a head still reads right after it was moved") {
  auto first = RequestHead::parse("GET / HTTP/1.1\r\nHost: h\r\n\r\n").value();
  const RequestHead second = std::move(first);
  CHECK(second.find("host") == "h");
  CHECK(second.target() == "/");
}

TEST_CASE("tokens are found in lists over several fields in any case") {
  const auto head =
      RequestHead::parse("GET / HTTP/1.1\r\nConnection: keep-alive,  ,Up\r\nConnection: UPGRADE\r\n\r\n")
          .value();
  CHECK(head.has_token("connection", "upgrade"));
  CHECK(head.has_token("connection", "up"));
  CHECK_FALSE(head.has_token("connection", "keep"));
}

TEST_CASE("the end of a head is found even if it came in two reads") {
  const std::string head = "GET / HTTP/1.1\r\n\r\nrest";
  for (std::size_t cut = 0; cut <= head.size(); ++cut) {
    CAPTURE(cut);
    const std::size_t first = find_head_end(std::string_view(head).substr(0, cut));
    CHECK(first == (cut >= 18 ? 18 : std::string_view::npos));
    if (first == std::string_view::npos) CHECK(find_head_end(head, cut) == 18);
  }
}

TEST_CASE("request heads on which two parsers could disagree are refused") {
  const char* const start = "GET / HTTP/1.1\r\n";
  const std::string faults[] = {start + "A: 1\r\n folded\r\n\r\n"s,
                                start + "A: 1\r\n\tfolded\r\n\r\n"s,
                                start + " A: 1\r\n\r\n"s,
                                start + "A : 1\r\n\r\n"s,
                                start + "A\r\n\r\n"s,
                                start + ": 1\r\n\r\n"s,
                                start + "A: 1\rB: 2\r\n\r\n"s,
                                start + "A: 1\nB: 2\r\n\r\n"s,
                                start + "A: 1\0\r\n\r\n"s,
                                start + "A: \x7f\r\n\r\n"s,
                                start + "A: \x01\r\n\r\n"s,
                                start + "A(: 1\r\n\r\n"s,
                                start + "A: 1\r\n\r\n\r\n"s,
                                start + "A: 1\r\n"s,
                                "\r\n"s + start + "\r\n",
                                "GET  / HTTP/1.1\r\n\r\n"s,
                                "GET /a b HTTP/1.1\r\n\r\n"s,
                                "GET / HTTP/1.1 \r\n\r\n"s,
                                "GET /#f HTTP/1.1\r\n\r\n"s,
                                "GET /\x80 HTTP/1.1\r\n\r\n"s,
                                "G@T / HTTP/1.1\r\n\r\n"s,
                                "GET / HTTP/11\r\n\r\n"s,
                                "GET /\r\n\r\n"s,
                                "GET /\tHTTP/1.1\r\n\r\n"s,
                                start + "Content-Length: +0\r\n\r\n"s,
                                start + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n"s};
  for (const std::string& bytes : faults) {
    CAPTURE(bytes);
    CHECK(status_of(bytes) == 400);
  }
}

TEST_CASE("heads over 16 KiB or 100 fields are refused with 431, just below they pass") {
  const std::string start = "GET / HTTP/1.1\r\n";
  std::string fields;
  for (int i = 0; i < 100; ++i) fields += "F: v\r\n";
  CHECK(status_of(start + fields + "\r\n") == 0);
  CHECK(status_of(start + fields + "F: v\r\n\r\n") == 431);
  const std::string filler(max_head_bytes - start.size() - 7, 'x');
  CHECK(status_of(start + "A: " + filler + "\r\n\r\n") == 0);
  CHECK(status_of(start + "A: " + filler + "x\r\n\r\n") == 431);
}

TEST_CASE("other HTTP versions are refused with 505, HTTP/1.0 is left to the handshake") {
  CHECK(status_of("GET / HTTP/2.0\r\n\r\n") == 505);
  CHECK(status_of("GET / HTTP/1.2\r\n\r\n") == 505);
  CHECK(RequestHead::parse("GET / HTTP/1.0\r\n\r\n").value().version() == 10);
}

TEST_CASE("a response head tells status, reason and version") {
  const auto head =
      ResponseHead::parse("HTTP/1.1 404 Not  Here\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n").value();
  CHECK(head.status() == 404);
  CHECK(head.reason() == "Not  Here");
  CHECK(head.count("set-cookie") == 2);
  CHECK_FALSE(head.is_interim());
  CHECK(ResponseHead::parse("HTTP/1.1 200 \r\n\r\n").value().reason().empty());
  CHECK(ResponseHead::parse("HTTP/1.0 200 OK\r\n\r\n").value().version() == 10);
  CHECK(ResponseHead::parse("HTTP/1.1 103 Early\r\n\r\n").value().is_interim());
  CHECK_FALSE(ResponseHead::parse("HTTP/1.1 101 Switching\r\n\r\n").value().is_interim());
}

TEST_CASE("a response head tells how its body ends") {
  CHECK(body_of("HTTP/1.1 200 OK\r\n\r\n").end == BodyEnd::until_close);
  CHECK(body_of("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").end == BodyEnd::none);
  CHECK(body_of("HTTP/1.1 204 No\r\n\r\n").end == BodyEnd::none);
  CHECK(body_of("HTTP/1.1 304 Same\r\nContent-Length: 9\r\n\r\n").end == BodyEnd::none);
  const Body sized = body_of("HTTP/1.1 500 X\r\nContent-Length: 123456789012\r\n\r\n");
  CHECK(sized.end == BodyEnd::length);
  CHECK(sized.length == 123456789012);
  CHECK(body_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n").end == BodyEnd::chunked);
  CHECK(body_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n").end == BodyEnd::until_close);
}

TEST_CASE("broken answers are garbage") {
  for (const std::string bytes :
       {"HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1 99 X\r\n\r\n", "HTTP/1.1 600 X\r\n\r\n",
        "HTTP/1.1 2000 X\r\n\r\n", "HTTP/1.1200 OK\r\n\r\n", "ICY 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: 1\r\n b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "SSH-2.0-x\r\n\r\n"}) {
    CAPTURE(bytes);
    CHECK(is_garbage(bytes));
  }
}

}  // namespace
}  // namespace holdfast::ws
