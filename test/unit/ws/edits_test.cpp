// What backends and deciding services get otherwise than the client wrote it.
#include <doctest/doctest.h>

#include "holdfast/ws/handshake.hpp"

namespace holdfast::ws::test {
namespace {

RequestHead head() {
  return RequestHead::parse(
             "GET /chat?a=1 HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nConnection: Upgrade, "
             "X-User\r\n"
             "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
             "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: x\r\nX-User: root\r\nx_user: root\r\n"
             "X-User-More: kept\r\nCookie: c\r\nX-Forwarded-Uri: /forged\r\nX_Forwarded_Method: PUT\r\n"
             "Holdfast-Session: forged\r\nExpect: x\r\n\r\n")
      .value();
}

ForwardedBy by(Trust trust) {
  ForwardedBy told;
  told.client = "192.0.2.1";
  told.host = "a.example";
  told.trust = trust;
  told.edits.withheld = {"X-User", "X-Absent"};
  told.edits.granted = {{"X-User", "ann"}};
  return told;
}

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t found = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

TEST_CASE("granted fields come instead of the client's, however it spelt them") {
  const std::string stem = build_request_stem(head(), by(Trust::untrusted));
  CHECK(count(stem, "root") == 0);
  CHECK(count(stem, "X-User: ann\r\n") == 1);
  CHECK(count(stem, "X-User-More: kept\r\n") == 1);
  CHECK(count(stem, "GET /chat?a=1 HTTP/1.1\r\n") == 1);
  ForwardedBy elsewhere = by(Trust::untrusted);
  elsewhere.edits.target = "/chat";
  CHECK(build_request_stem(head(), elsewhere).starts_with("GET /chat HTTP/1.1\r\n"));
}

TEST_CASE("an offer that is withheld is not the client's, and one of ours is made all the same") {
  const RequestHead client = head();
  Edits edits;
  const std::string stem = build_request_stem(client, by(Trust::untrusted));
  CHECK(count(with_offer(stem, client, edits), "Sec-WebSocket-Protocol: chat\r\n") == 1);
  edits.withheld = {"sec_websocket_protocol"};
  CHECK(count(with_offer(stem, client, edits), "Sec-WebSocket-Protocol") == 0);
  CHECK(count(with_offer(stem, client, edits, {"ours", std::nullopt}), "Sec-WebSocket-Protocol: ours\r\n") ==
        1);
}

TEST_CASE("a question has the client's fields but those of the handshake, and says what it is about") {
  for (const Trust trust : {Trust::untrusted, Trust::trusted}) {
    const std::string question = build_question(head(), by(trust), "auth.example:9000", "/verify?x=1");
    CHECK(question.starts_with("GET /verify?x=1 HTTP/1.1\r\nHost: auth.example:9000\r\n"));
    CHECK(question.ends_with("Connection: close\r\n\r\n"));
    for (const char* once :
         {"X-Forwarded-Uri: /chat?a=1\r\n", "X-Forwarded-Method: GET\r\n", "X-Forwarded-For: 192.0.2.1\r\n",
          "X-Forwarded-Host: a.example\r\n", "Cookie: c\r\n", "X-User: ann\r\n",
          "Sec-WebSocket-Protocol: chat\r\n", "\r\nHost: ", "Connection: "})
      CHECK_MESSAGE(count(question, once) == 1, once);
    for (const char* never : {"forged", "root", "PUT", "Upgrade", "Sec-WebSocket-Key",
                              "Sec-WebSocket-Version", "Sec-WebSocket-Extensions", "Holdfast", "Expect"})
      CHECK_MESSAGE(count(question, never) == 0, never);
    CHECK(RequestHead::parse(question).has_value());
  }
}

}  // namespace
}  // namespace holdfast::ws::test
