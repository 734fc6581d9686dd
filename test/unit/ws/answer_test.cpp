#include <doctest/doctest.h>

#include <string>

#include "holdfast/ws/frame.hpp"
#include "holdfast/ws/handshake.hpp"

namespace holdfast::ws {
namespace {

const std::string key = "dGhlIHNhbXBsZSBub25jZQ==";
const std::string accept_field = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
const std::string upgrade_fields = "Upgrade: WebSocket\r\nConnection: upgrade\r\n";
const std::string good_fields = upgrade_fields + accept_field;

ResponseHead head_of(const std::string& fields,
                     const std::string& start = "HTTP/1.1 101 Switching Protocols") {
  return ResponseHead::parse(start + "\r\n" + fields + "\r\n").value();
}

ClientHandshake offer_of(std::vector<std::string> subprotocols, std::string_view extensions) {
  ClientHandshake offer;
  offer.subprotocols = std::move(subprotocols);
  const std::string_view values[] = {extensions};
  offer.extensions = parse_extensions(values).value();
  return offer;
}

Judged<Agreement> checked(const std::string& fields, const ClientHandshake& offer = {}) {
  return check_answer(head_of(fields), offer, key);
}

bool is_garbage(const std::string& fields, const ClientHandshake& offer = {}) {
  const auto result = checked(fields, offer);
  return result.has_error() && result.error().status == 502 && !result.error().what.empty();
}

TEST_CASE("a plain valid 101 agrees on nothing") {
  const auto agreement = checked(good_fields);
  REQUIRE(agreement.has_value());
  CHECK(agreement->subprotocol.empty());
  CHECK(agreement->extensions.empty());
  CHECK(agreement->allowed_rsv == 0);
}

TEST_CASE("a 101 with subprotocol and extensions tells what was agreed") {
  const auto agreement =
      checked(good_fields +
                  "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"
                  "Sec-WebSocket-Extensions: other\r\n",
              offer_of({"news", "chat"}, "permessage-deflate, other"));
  REQUIRE(agreement.has_value());
  CHECK(agreement->subprotocol == "chat");
  CHECK(agreement->extensions == "permessage-deflate, other");
  CHECK(agreement->allowed_rsv == rsv_all);
}

TEST_CASE("an answer that does not complete the handshake is garbage") {
  CHECK(is_garbage("Connection: upgrade\r\n" + accept_field));
  CHECK(is_garbage("Upgrade: websocket\r\n" + accept_field));
  CHECK(is_garbage(upgrade_fields));
  CHECK(is_garbage(good_fields + accept_field));
  CHECK(is_garbage(upgrade_fields + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOO=\r\n"));
  CHECK(is_garbage(good_fields + "Content-Length: 1\r\n"));
  CHECK(is_garbage(good_fields + "Transfer-Encoding: chunked\r\n"));
  CHECK(check_answer(head_of(good_fields, "HTTP/1.1 200 OK"), {}, key).has_error());
  CHECK(check_answer(head_of(good_fields, "HTTP/1.0 101 Old"), {}, key).has_error());
}

TEST_CASE("an answer beyond the offer is garbage") {
  CHECK(is_garbage(good_fields + "Sec-WebSocket-Protocol: chat\r\n"));
  CHECK(is_garbage(good_fields + "Sec-WebSocket-Protocol: Chat\r\n", offer_of({"chat"}, "")));
  CHECK(is_garbage(good_fields + "Sec-WebSocket-Protocol: a, b\r\n", offer_of({"a", "b"}, "")));
  CHECK(is_garbage(good_fields + "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a\r\n",
                   offer_of({"a"}, "")));
  CHECK(is_garbage(good_fields + "Sec-WebSocket-Extensions: permessage-deflate\r\n"));
  CHECK(is_garbage(good_fields + "Sec-WebSocket-Extensions: a;\r\n", offer_of({}, "a")));
}

TEST_CASE("the client's 101 has our handshake fields and the backend's own ones, each as often as it came") {
  const auto head = head_of(good_fields +
                            "Set-Cookie: a\r\nServer: s\r\nSet-Cookie: b\r\nSec-WebSocket-Protocol: p\r\n"
                            "Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 1\r\nContent-Length: 0\r\n");
  CHECK(build_client_answer(head, {}, key) ==
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + accept_field +
            "Set-Cookie: a\r\nServer: s\r\nSet-Cookie: b\r\nSec-WebSocket-Protocol: p\r\n\r\n");
}

TEST_CASE("the client's 101 names the agreed extensions in one field, whatever the backend's answer said") {
  const auto head = head_of(good_fields +
                            "Sec-WebSocket-Extensions: permessage-deflate\r\nServer: s\r\n"
                            "Sec-WebSocket-Extensions: other\r\n");
  const Agreement agreement{"", "permessage-deflate; client_no_context_takeover", rsv1};
  const std::string text = build_client_answer(head, agreement, key);
  CHECK(text.ends_with(accept_field +
                       "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n"
                       "Server: s\r\n\r\n"));
  CHECK(build_client_answer(head, {}, key).find("Sec-WebSocket-Extensions") == std::string::npos);
}

TEST_CASE("a relayed answer keeps status, fields and framing but closes") {
  CHECK(build_relayed_head(head_of("WWW-Authenticate: Basic\r\nConnection: keep-alive\r\nKeep-Alive: 5\r\n"
                                   "Content-Length: 5\r\n",
                                   "HTTP/1.0 401 Nope")) ==
        "HTTP/1.1 401 Nope\r\nWWW-Authenticate: Basic\r\nContent-Length: 5\r\nConnection: close\r\n\r\n");
  CHECK(build_relayed_head(head_of("Transfer-Encoding: chunked\r\nA: 1\r\n", "HTTP/1.1 500 X")) ==
        "HTTP/1.1 500 X\r\nA: 1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
  CHECK(build_relayed_head(head_of("Content-Length: 0\r\n", "HTTP/1.1 403 No")) ==
        "HTTP/1.1 403 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  CHECK(build_relayed_head(head_of("Content-Length: 7\r\n", "HTTP/1.1 204 No")) ==
        "HTTP/1.1 204 No\r\nConnection: close\r\n\r\n");
}

TEST_CASE("a relayed 426 still names the versions and the protocol") {
  const std::string text =
      build_relayed_head(head_of("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n",
                                 "HTTP/1.1 426 Upgrade Required"));
  CHECK(text ==
        "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n"
        "Connection: close, Upgrade\r\n\r\n");
}

TEST_CASE("our own error answers are complete HTTP") {
  CHECK(
      build_error_answer(503, "Nobody is there.", "Retry-After: 1\r\n") ==
      "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 17\r\n"
      "Retry-After: 1\r\nConnection: close\r\n\r\nNobody is there.\n");
  const std::string text = build_error_answer(Rejection{426, "No.", "Upgrade: websocket\r\n"});
  CHECK(text.find("Connection: close, Upgrade\r\n") != std::string::npos);
  const auto head = ResponseHead::parse(text.substr(0, find_head_end(text))).value();
  CHECK(head.body().length == 4);
}

}  // namespace
}  // namespace holdfast::ws
