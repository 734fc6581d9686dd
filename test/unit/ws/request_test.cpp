#include <doctest/doctest.h>

#include <string>

#include "holdfast/ws/handshake.hpp"

namespace holdfast::ws {
namespace {

const std::string key_field = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const std::string version_field = "Sec-WebSocket-Version: 13\r\n";
const std::string upgrade_fields = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
const std::string host_field = "Host: example.com\r\n";
const std::string good_fields = host_field + upgrade_fields + key_field + version_field;

RequestHead head_of(const std::string& fields, const std::string& start = "GET /chat HTTP/1.1") {
  return RequestHead::parse(start + "\r\n" + fields + "\r\n").value();
}

Judged<ClientHandshake> checked(const std::string& fields, const std::string& start = "GET /chat HTTP/1.1") {
  return check_request(head_of(fields, start));
}

Rejection refused(const std::string& fields, const std::string& start = "GET /chat HTTP/1.1") {
  const auto result = checked(fields, start);
  REQUIRE(result.has_error());
  return result.error();
}

std::string host_of(const std::string& value) {
  const auto result = checked("Host: " + value + "\r\n" + upgrade_fields + key_field + version_field);
  return result ? result->host : "refused with " + std::to_string(result.error().status);
}

ForwardedBy by(Trust trust, Transport transport = Transport::tls) {
  return {"192.0.2.7", "example.com", transport, trust};
}

std::string built(const std::string& more, const ForwardedBy& forwarded) {
  const RequestHead head = head_of(good_fields + more);
  return finish_request(with_offer(build_request_stem(head, forwarded), head), "OURKEY");
}

bool has_line(const std::string& text, const std::string& line) {
  return text.find("\r\n" + line + "\r\n") != std::string::npos;
}

TEST_CASE("a handshake as browsers write it passes and is read whole") {
  const auto result = checked(
      "Host: EXAMPLE.com:8443\r\nConnection: keep-alive, Upgrade\r\nUpgrade: h2c, WebSocket\r\n" + key_field +
          version_field +
          "Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Protocol: v2\r\n"
          "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nContent-Length: 0\r\n",
      "GET /a/b?x=1?&y HTTP/1.1");
  REQUIRE(result.has_value());
  CHECK(result->host == "example.com");
  CHECK(result->path == "/a/b");
  CHECK(result->query == "x=1?&y");
  CHECK(result->key == "dGhlIHNhbXBsZSBub25jZQ==");
  CHECK(result->subprotocols == std::vector<std::string>{"chat", "superchat", "v2"});
  REQUIRE(result->extensions.size() == 1);
  CHECK(result->extensions[0].name == "permessage-deflate");
}

TEST_CASE("requests that are no WebSocket handshake get the status that says why") {
  CHECK(refused(good_fields, "POST /chat HTTP/1.1").status == 405);
  CHECK(refused(good_fields, "POST /chat HTTP/1.1").fields == "Allow: GET\r\n");
  CHECK(refused(good_fields, "GET /chat HTTP/1.0").status == 505);
  CHECK(refused(host_field).status == 426);
  CHECK(refused(host_field).fields == "Upgrade: websocket\r\n");
  CHECK(refused(host_field + "Upgrade: websocket\r\n" + key_field + version_field).status == 400);
  CHECK(refused(host_field + upgrade_fields + key_field).status == 426);
  const Rejection old = refused(host_field + upgrade_fields + key_field + "Sec-WebSocket-Version: 8\r\n");
  CHECK(old.status == 426);
  CHECK(old.fields.find("Sec-WebSocket-Version: 13\r\n") != std::string::npos);
  CHECK(refused(good_fields + version_field).status == 426);
}

TEST_CASE("a handshake needs exactly one key of 16 bytes") {
  const std::string others = host_field + upgrade_fields + version_field;
  CHECK(refused(others).status == 400);
  CHECK(refused(good_fields + key_field).status == 400);
  for (const char* key : {"", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZSE=",
                          "dGhl-HNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ==, x"}) {
    CAPTURE(key);
    CHECK(refused(others + "Sec-WebSocket-Key: " + key + "\r\n").status == 400);
  }
}

TEST_CASE("a handshake has no body") {
  CHECK(refused(good_fields + "Content-Length: 1\r\n").status == 400);
  CHECK(refused(good_fields + "Transfer-Encoding: chunked\r\n").status == 400);
}

TEST_CASE("hosts are normalised for routing") {
  CHECK(host_of("Example.COM") == "example.com");
  CHECK(host_of("example.com:80") == "example.com");
  CHECK(host_of("example.com:") == "example.com");
  CHECK(host_of("[2001:DB8::1]:443") == "[2001:db8::1]");
  for (const char* wrong : {"", ":80", "a b", "a,b", "user@a", "a:80:90", "a:x", "a:65536", "[::1", "[::1]x",
                            "[]", "[g::1]", "a/b", "a\"b"}) {
    CAPTURE(wrong);
    CHECK(host_of(wrong) == "refused with 400");
  }
}

TEST_CASE("no Host and two Hosts are refused") {
  CHECK(refused(upgrade_fields + key_field + version_field).status == 400);
  CHECK(refused(good_fields + host_field).status == 400);
}

TEST_CASE("targets that are not origin-form are refused") {
  CHECK(refused(good_fields, "GET http://example.com/chat HTTP/1.1").status == 400);
  CHECK(refused(good_fields, "GET * HTTP/1.1").status == 400);
}

TEST_CASE("malformed and repeated subprotocols are refused") {
  CHECK(refused(good_fields + "Sec-WebSocket-Protocol: a b\r\n").status == 400);
  CHECK(refused(good_fields + "Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Protocol: a\r\n").status == 400);
  CHECK(refused(good_fields + "Sec-WebSocket-Extensions: a;;\r\n").status == 400);
}

TEST_CASE("keys are base64 and accepts are those of RFC 6455 section 1.3") {
  std::array<std::byte, 16> random{};
  const std::string_view sample = "the sample nonce";
  for (std::size_t i = 0; i < random.size(); ++i) random[i] = static_cast<std::byte>(sample[i]);
  CHECK(make_key(random) == "dGhlIHNhbXBsZSBub25jZQ==");
  CHECK(accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST_CASE("the backend's request passes end-to-end fields in order and replaces the handshake's own") {
  const std::string text = built(
      "Origin: https://o\r\nCookie: a=1\r\nAuthorization: Basic x\r\nUser-Agent: ua\r\nX-Mine: 1\r\nX-Mine: "
      "2\r\n"
      "Sec-WebSocket-Protocol: p\r\nSec-WebSocket-Extensions: e\r\n",
      by(Trust::untrusted));
  CHECK(text ==
        "GET /chat HTTP/1.1\r\nHost: example.com\r\nOrigin: https://o\r\nCookie: a=1\r\nAuthorization: Basic "
        "x\r\n"
        "User-Agent: ua\r\nX-Mine: 1\r\nX-Mine: 2\r\n"
        "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: example.com\r\n"
        "Sec-WebSocket-Version: 13\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Protocol: p\r\nSec-WebSocket-Extensions: e\r\n"
        "Sec-WebSocket-Key: OURKEY\r\n\r\n");
}

TEST_CASE("the backend's request has no hop-by-hop fields and none that Connection names") {
  const std::string text = built(
      "Connection: X-Hop, Origin, cookie, X-Forwarded-For\r\nX-Hop: 1\r\nOrigin: https://o\r\nCookie: a=1\r\n"
      "Keep-Alive: 5\r\nTE: trailers\r\nTrailer: x\r\nProxy-Authorization: y\r\nProxy-Connection: z\r\n"
      "HTTP2-Settings: s\r\nContent-Length: 0\r\nExpect: 100-continue\r\nHoldfast-Session: forged\r\n"
      "holdfast_reroute: 1\r\nSec-WebSocket-Accept: a\r\n",
      by(Trust::untrusted));
  const auto head = RequestHead::parse(text).value();
  for (const char* gone :
       {"X-Hop", "Keep-Alive", "TE", "Trailer", "Proxy-Authorization", "Proxy-Connection", "HTTP2-Settings",
        "Content-Length", "Expect", "Holdfast-Session", "holdfast_reroute", "Sec-WebSocket-Accept"}) {
    CAPTURE(gone);
    CHECK(head.count(gone) == 0);
  }
  CHECK(head.find("Origin") == "https://o");
  CHECK(head.find("Cookie") == "a=1");
  CHECK(head.count("Connection") == 1);
}

TEST_CASE("forwarding fields of untrusted peers are dropped in every spelling") {
  const std::string text = built(
      "X-Forwarded-For: 6.6.6.6\r\nx_forwarded_for: 6.6.6.6\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: "
      "1\r\n"
      "Forwarded: for=6.6.6.6\r\n",
      by(Trust::untrusted));
  CHECK(text.find("6.6.6.6") == std::string::npos);
  CHECK(text.find("X-Forwarded-Port") == std::string::npos);
  CHECK(has_line(text, "X-Forwarded-For: 192.0.2.7"));
  CHECK(has_line(text, "X-Forwarded-Proto: https"));
}

TEST_CASE("forwarding fields of trusted peers are appended to or kept") {
  const std::string text = built(
      "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\nX-Forwarded-Proto: http\r\nForwarded: "
      "for=1.1.1.1\r\n",
      by(Trust::trusted));
  CHECK(has_line(text, "X-Forwarded-For: 1.1.1.1, 2.2.2.2, 192.0.2.7"));
  CHECK(has_line(text, "X-Forwarded-Proto: http"));
  CHECK_FALSE(has_line(text, "X-Forwarded-Proto: https"));
  CHECK(has_line(text, "X-Forwarded-Host: example.com"));
  CHECK(has_line(text, "Forwarded: for=1.1.1.1, for=192.0.2.7;proto=https;host=\"example.com\""));
}

TEST_CASE("a trusted peer's kept fields cannot vanish by being named in Connection") {
  const std::string text =
      built("Connection: X-Forwarded-Proto\r\nX-Forwarded-Proto: http\r\n", by(Trust::trusted));
  CHECK(has_line(text, "X-Forwarded-Proto: http"));
}

TEST_CASE("Forwarded writes IPv6 in brackets and what is no address as unknown") {
  ForwardedBy forwarded = by(Trust::trusted, Transport::plain);
  forwarded.client = "2001:db8::1";
  CHECK(built("Forwarded: for=a\r\n", forwarded).find("for=\"[2001:db8::1]\";proto=http;") !=
        std::string::npos);
  forwarded.client = "unix:";
  CHECK(built("Forwarded: for=a\r\n", forwarded).find("for=unknown;") != std::string::npos);
}

TEST_CASE("extra fields are added to the stem of a request and to one that is finished with it") {
  const ExtraField session[] = {{"Holdfast-Session", "abc"}};
  const ExtraField reroute[] = {{"Holdfast-Reroute", "1; cause=lost"}};
  const RequestHead head = head_of(good_fields);
  const std::string stem = with_offer(build_request_stem(head, by(Trust::untrusted)), head, {}, {}, session);
  const std::string first = finish_request(stem, "K1");
  const std::string later = finish_request(stem, "K2", reroute);
  CHECK(has_line(first, "Holdfast-Session: abc"));
  CHECK(has_line(first, "Sec-WebSocket-Key: K1"));
  CHECK(first.find("Holdfast-Reroute") == std::string::npos);
  CHECK(has_line(later, "Holdfast-Session: abc"));
  CHECK(has_line(later, "Holdfast-Reroute: 1; cause=lost"));
  CHECK(has_line(later, "Sec-WebSocket-Key: K2"));
  CHECK(RequestHead::parse(later).value().count("Sec-WebSocket-Key") == 1);
}

TEST_CASE("an offer of ours takes the place of the client's fields, an empty one takes them away") {
  const auto head =
      head_of(good_fields +
              "Sec-WebSocket-Protocol: a\r\nsec-websocket-protocol: b\r\n"
              "Sec-WebSocket-Extensions: permessage-deflate\r\nSEC-WEBSOCKET-EXTENSIONS: x\r\n");
  const auto offering = [&](const Offer& offer) {
    const std::string text =
        finish_request(with_offer(build_request_stem(head, by(Trust::untrusted)), head, {}, offer), "K");
    const auto built_head = RequestHead::parse(text).value();
    std::string seen;
    for (const auto value : built_head.values("Sec-WebSocket-Protocol")) seen.append(value).append("|");
    seen += "/";
    for (const auto value : built_head.values("Sec-WebSocket-Extensions")) seen.append(value).append("|");
    return seen;
  };
  CHECK(offering({}) == "a|b|/permessage-deflate|x|");
  CHECK(offering({"b", "permessage-deflate; client_no_context_takeover"}) ==
        "b|/permessage-deflate; client_no_context_takeover|");
  CHECK(offering({std::nullopt, ""}) == "a|b|/");
  CHECK(offering({"", std::nullopt}) == "/permessage-deflate|x|");
}

}  // namespace
}  // namespace holdfast::ws
