#include "frontend/continuing.hpp"

#include <doctest/doctest.h>

#include <string>

namespace holdfast::frontend {
namespace {

using config::Compression;
using session::Continuity;

config::Reroute rules(Compression compression, std::uint32_t preamble_answers = 0) {
  config::Reroute reroute;
  reroute.compression = compression;
  reroute.preamble_answers = preamble_answers;
  return reroute;
}

std::vector<ws::Extension> parsed(std::string_view text) {
  const std::string_view values[] = {text};
  return ws::parse_extensions(values).value();
}

const char* const browser_offer = "permessage-deflate; client_max_window_bits, x-other";

std::string offered(const config::Reroute& reroute) {
  return ws::to_text(extensions_to_offer(reroute, parsed(browser_offer)));
}

Continuity continuity(const config::Reroute& reroute, std::string extensions) {
  const ws::Agreement of_backend{"", std::move(extensions), 0};
  return continuity_of(reroute, agreement_with_client(reroute, of_backend));
}

ws::RequestHead client_head() {
  return ws::RequestHead::parse(
             "GET /room?token=1 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
             "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: a=1\r\n"
             "Sec-WebSocket-Protocol: chat, news\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n")
      .value();
}

TEST_CASE("what is offered to the backend follows compression") {
  CHECK(offered(rules(Compression::pin)) ==
        "permessage-deflate; client_max_window_bits; client_no_context_takeover");
  CHECK(offered(rules(Compression::pin, 1)) ==
        "permessage-deflate; client_max_window_bits; client_no_context_takeover; server_no_context_takeover");
  CHECK(offered(rules(Compression::strip)).empty());
  CHECK(offered(rules(Compression::pass)) == browser_offer);
}

TEST_CASE("only pass leaves the client's bytes alone, stripping takes the field away") {
  const auto field = [](const config::Reroute& reroute) {
    return first_offer(reroute, extensions_to_offer(reroute, parsed(browser_offer)));
  };
  CHECK_FALSE(field(rules(Compression::pass)).extensions.has_value());
  CHECK(field(rules(Compression::strip)).extensions == "");
  CHECK(field(rules(Compression::pin)).extensions->starts_with("permessage-deflate; "));
  // The client chooses among the backend's subprotocols at the first handshake.
  CHECK_FALSE(field(rules(Compression::pin)).subprotocols.has_value());
}

TEST_CASE("a route that never reroutes pays nothing for it") {
  config::Reroute off = rules(Compression::pin);
  off.on.clear();
  CHECK(offered(off) == browser_offer);
  CHECK_FALSE(first_offer(off, parsed(browser_offer)).extensions.has_value());
  CHECK(agreement_with_client(off, {"", "permessage-deflate", 0}).extensions == "permessage-deflate");
  CommonFields common;
  CHECK(keep_for_reroutes(off, {}, client_head(), "", common) == nullptr);
  off.compression = Compression::strip;
  CHECK(offered(off).empty());
}

TEST_CASE("a pinned session is whole, a passed one only while no context that matters exists") {
  CHECK(continuity(rules(Compression::pin), "") == Continuity::whole);
  CHECK(continuity(rules(Compression::pin), "permessage-deflate") == Continuity::whole);
  CHECK(continuity(rules(Compression::pin, 1), "permessage-deflate; server_no_context_takeover") ==
        Continuity::whole);
  CHECK(continuity(rules(Compression::strip), "") == Continuity::whole);

  CHECK(continuity(rules(Compression::pass), "") == Continuity::whole);
  CHECK(continuity(rules(Compression::pass), "permessage-deflate") == Continuity::until_used);
  CHECK(continuity(rules(Compression::pass), "permessage-deflate; client_no_context_takeover") ==
        Continuity::whole);
  CHECK(continuity(rules(Compression::pass), "x-other") == Continuity::none);
  CHECK(continuity(rules(Compression::pass), "permessage-deflate; client_no_context_takeover, x-other") ==
        Continuity::none);
}

// Story: the client's decompressor would look back to an answer that the proxy has swallowed.
TEST_CASE("swallowed answers and a server that keeps its context do not go together") {
  CHECK(continuity(rules(Compression::pass, 1), "permessage-deflate; client_no_context_takeover") ==
        Continuity::none);
  CHECK(continuity(rules(Compression::pass, 1),
                   "permessage-deflate; client_no_context_takeover; server_no_context_takeover") ==
        Continuity::whole);
  CHECK(continuity(rules(Compression::pass, 1), "") == Continuity::whole);
}

TEST_CASE("what is kept is the first request, offering exactly what was agreed") {
  const ws::Agreement agreement{"news", "permessage-deflate; client_no_context_takeover", 0};
  const ws::ForwardedBy by{"192.0.2.7", "h", ws::Transport::tls, ws::Trust::untrusted};
  const std::string stem = ws::build_request_stem(client_head(), by);
  CommonFields common;
  const auto kept = keep_for_reroutes(rules(Compression::pin), agreement, client_head(), stem, common);
  REQUIRE(kept != nullptr);
  CHECK(kept->subprotocol() == "news");
  CHECK(kept->extensions() == agreement.extensions);
  CHECK(kept->request() ==
        "GET /room?token=1 HTTP/1.1\r\nHost: h\r\nCookie: a=1\r\n"
        "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: h\r\n"
        "Sec-WebSocket-Version: 13\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Protocol: news\r\n"
        "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n");

  const auto bare = keep_for_reroutes(rules(Compression::pin), {}, client_head(), stem, common);
  CHECK(bare->request().find("Sec-WebSocket-Protocol") == std::string::npos);
  CHECK(bare->request().find("Sec-WebSocket-Extensions") == std::string::npos);
}

}  // namespace
}  // namespace holdfast::frontend
