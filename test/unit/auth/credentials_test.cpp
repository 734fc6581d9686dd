// Where tokens are found, and requests without them.
#include "holdfast/auth/credentials.hpp"

#include <doctest/doctest.h>

namespace holdfast::auth::test {
namespace {

using config::TokenPlace;
using metrics::TokenResult;

struct Request {
  explicit Request(const std::string& fields, const std::string& target = "/")
      : head(ws::RequestHead::parse(
                 "GET " + target +
                 " HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
                 fields + "\r\n")
                 .value()),
        handshake(ws::check_request(head).value()) {}
  ws::RequestHead head;
  ws::ClientHandshake handshake;
};

std::vector<TokenPlace> places(std::initializer_list<const char*> texts) {
  std::vector<TokenPlace> out;
  std::string why;
  for (const char* text : texts) out.push_back(config::parse_token_place(text, why).value());
  return out;
}

// The token, or how it is not one.
std::string found(const Request& request, std::initializer_list<const char*> from) {
  const FoundToken token = find_token(request.head, request.handshake, places(from));
  return token.result == TokenResult::accepted ? token.token
                                               : "(" + std::string(metrics::text(token.result)) + ")";
}

TEST_CASE("tokens of headers") {
  CHECK(found(Request("Authorization: Bearer a.b.c\r\n"), {"header"}) == "a.b.c");
  CHECK(found(Request("authorization: bEARER   a.b.c\r\n"), {"header"}) == "a.b.c");
  CHECK(found(Request("Authorization: Basic eDp5\r\n"), {"header"}) == "(missing)");
  CHECK(found(Request("Authorization: Bearer\r\n"), {"header"}) == "(missing)");
  CHECK(found(Request("Authorization: a.b.c\r\n"), {"header"}) == "(missing)");
  CHECK(found(Request("Authorization: Bearer a\r\nAuthorization: Bearer b\r\n"), {"header"}) ==
        "(ambiguous)");
  CHECK(found(Request("X-T: a.b.c\r\n"), {"header:x-t"}) == "a.b.c");
  CHECK(found(Request("X-T: Bearer a.b.c\r\n"), {"header:X-T"}) == "a.b.c");
  CHECK(found(Request(""), {"header", "cookie:t", "query:t", "subprotocol"}) == "(missing)");
}

TEST_CASE("tokens of cookies") {
  CHECK(found(Request("Cookie: x=1; t=a.b.c; y=2\r\n"), {"cookie:t"}) == "a.b.c");
  CHECK(found(Request("Cookie: t=\"a.b.c\"\r\n"), {"cookie:t"}) == "a.b.c");
  CHECK(found(Request("Cookie: x=1\r\nCookie: t=a.b.c\r\n"), {"cookie:t"}) == "a.b.c");
  CHECK(found(Request("Cookie: T=a.b.c; tt=x; xt=y\r\n"), {"cookie:t"}) == "(missing)");
  CHECK(found(Request("Cookie: t=\r\n"), {"cookie:t"}) == "(missing)");
  CHECK(found(Request("Cookie: t=a; t=a\r\n"), {"cookie:t"}) == "a");
  CHECK(found(Request("Cookie: t=a; t=b\r\n"), {"cookie:t"}) == "(ambiguous)");
}

TEST_CASE("tokens of queries") {
  CHECK(found(Request("", "/?t=a.b.c"), {"query:t"}) == "a.b.c");
  CHECK(found(Request("", "/x?a=1&t=a.b.c&b"), {"query:t"}) == "a.b.c");
  CHECK(found(Request("", "/?tt=a&t"), {"query:t"}) == "(missing)");
  CHECK(found(Request("", "/?t=a&t=b"), {"query:t"}) == "(ambiguous)");
}

TEST_CASE("tokens of subprotocols, and what is offered without them") {
  const auto others = [](const std::string& offered) {
    std::string text;
    const Request request("Sec-WebSocket-Protocol: " + offered + "\r\n");
    for (const std::string& name : part_subprotocols(request.handshake.subprotocols).others)
      text += name + " ";
    return found(request, {"subprotocol"}) + " " + text;
  };
  CHECK(others("bearer, a.b.c") == "a.b.c ");
  CHECK(others("chat, Bearer, a.b.c, mail") == "a.b.c chat mail ");
  CHECK(others("access_token.a.b.c, chat") == "a.b.c chat ");
  CHECK(others("chat, bearer") == "(missing) chat bearer ");
  CHECK(others("bearer, a.b.c, access_token.d") == "(ambiguous) ");
}

TEST_CASE("the first place that has a token is the one") {
  const Request request("Authorization: Bearer head\r\nCookie: t=cookie\r\n", "/?t=query");
  CHECK(found(request, {"cookie:t", "header"}) == "cookie");
  CHECK(found(request, {"cookie:other", "query:t", "header"}) == "query");
}

TEST_CASE("stripping takes all tokens out and leaves all else") {
  const auto stripped = [](const Request& request, std::initializer_list<const char*> from) {
    ws::ForwardedBy by;
    strip_tokens(request.head, request.handshake, places(from), by.edits);
    return ws::build_request_stem(request.head, by);
  };
  const Request request(
      "Authorization: Bearer TOKEN\r\nCookie: a=1; t=TOKEN; b=2\r\nCookie: t=TOKEN\r\nX-A: 1\r\n",
      "/x?t=TOKEN&a=1&t=TOKEN&b");
  const std::string stem = stripped(request, {"header", "cookie:t", "query:t"});
  CHECK(stem.find("TOKEN") == std::string::npos);
  CHECK(stem.find("GET /x?a=1&b HTTP/1.1\r\n") == 0);
  CHECK(stem.find("Cookie: a=1; b=2\r\n") != std::string::npos);
  CHECK(stem.find("X-A: 1\r\n") != std::string::npos);
  CHECK(stripped(Request("", "/x?t=TOKEN"), {"query:t"}).find("GET /x HTTP/1.1\r\n") == 0);
  CHECK(stripped(Request("Cookie: t=TOKEN\r\n"), {"cookie:t"}).find("Cookie") == std::string::npos);
  // Other credentials are not ours to take.
  CHECK(stripped(Request("Authorization: Basic eDp5\r\n"), {"header"}).find("Basic eDp5") !=
        std::string::npos);
}

}  // namespace
}  // namespace holdfast::auth::test
