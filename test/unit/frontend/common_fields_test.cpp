// What sessions share of their request heads.
#include "frontend/common_fields.hpp"

#include <doctest/doctest.h>

namespace holdfast::frontend {
namespace {

constexpr std::string_view browser =
    "User-Agent: Some/1.0\r\nORIGIN: https://h\r\nSec-Fetch-Mode: websocket\r\n";

std::string stem(std::string_view path, std::string_view cookie, std::string_view fields = browser) {
  return "GET " + std::string(path) + " HTTP/1.1\r\nCookie: " + std::string(cookie) + "\r\n" +
         std::string(fields) + "X-Custom: " + std::string(cookie) + "\r\n";
}

std::string_view text_of(const session::Continuation::Head& head) {
  return *head.common_fields;
}

TEST_CASE("a browser's fields are one string for all, a client's own are its own") {
  CommonFields fields;
  const auto one = fields.split(stem("/a", "1"));
  const auto other = fields.split(stem("/b", "2"));
  CHECK(one.start_line == "GET /a HTTP/1.1\r\n");
  CHECK(one.own_fields == "Cookie: 1\r\nX-Custom: 1\r\n");
  CHECK(text_of(one) == browser);
  CHECK(other.own_fields == "Cookie: 2\r\nX-Custom: 2\r\n");
  CHECK(one.common_fields == other.common_fields);
  CHECK(fields.split(stem("/a", "1", "User-Agent: Other\r\n")).common_fields != one.common_fields);
}

TEST_CASE("nothing that may be a secret is shared") {
  CommonFields fields;
  const std::string secrets =
      "Authorization: Bearer x\r\nSec-WebSocket-Protocol: token.x\r\nX-Forwarded-For: 192.0.2.1\r\n"
      "Forwarded: for=192.0.2.1\r\nX-Api-Key: x\r\nUser-Agents: x\r\nSec-Ch: x\r\n";
  const auto head = fields.split("GET / HTTP/1.1\r\n" + secrets);
  CHECK(head.own_fields == secrets);
  CHECK(text_of(head).empty());
}

TEST_CASE("clients that never send the same again leave nothing behind") {
  CommonFields fields;
  const auto kept = fields.split(stem("/", "1"));
  for (int n = 0; n < 10'000; ++n) {
    const auto gone = fields.split(stem("/", "1", "User-Agent: " + std::to_string(n) + "\r\n"));
    CHECK(text_of(gone).size() < 30);
  }
  CHECK(fields.size() < 200);
  CHECK(fields.split(stem("/", "2")).common_fields == kept.common_fields);
}

TEST_CASE("a head is put together again as it was, whatever it is made of") {
  CommonFields fields;
  std::string many = "GET / HTTP/1.1\r\n";
  for (int n = 0; n < 100; ++n) many += (n % 3 == 0 ? "Via: " : "X: ") + std::to_string(n) + "\r\n";
  for (const std::string& head :
       {std::string("GET / HTTP/1.1\r\n"), std::string("GET / HTTP/1.1"), std::string(),
        std::string("GET /\r\nno colon\r\nHost:\r\nCookie: 1\r\nHost: 2"), many}) {
    const auto kept = session::Continuation::make(fields.split(head), "sub", "ext");
    for (const auto& each : {kept->copy(), kept->copy()->copy()}) {
      CHECK(each->request() == head);
      CHECK(each->subprotocol() == "sub");
      CHECK(each->extensions() == "ext");
      CHECK(each->stored_bytes() == kept->stored_bytes());
    }
  }
}

}  // namespace
}  // namespace holdfast::frontend
