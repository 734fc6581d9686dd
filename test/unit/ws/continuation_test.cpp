#include "holdfast/ws/continuation.hpp"

#include <doctest/doctest.h>

#include <string>

namespace holdfast::ws {
namespace {

const std::string key = "dGhlIHNhbXBsZSBub25jZQ==";
const std::string switching =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

std::vector<Extension> parsed(std::string_view text) {
  const std::string_view values[] = {text};
  return parse_extensions(values).value();
}

std::string pinned_text(std::string_view offer, ServerContext context = ServerContext::may_stay) {
  return to_text(pinned_offer(parsed(offer), context));
}

Agreement agreed(std::string extensions, std::string subprotocol = {}) {
  return {std::move(subprotocol), std::move(extensions), 0};
}

// Whether a 101 with these fields may follow on `first`.
bool follows(const Agreement& first, const std::string& subprotocol, const std::string& extensions) {
  std::string text = switching;
  if (!subprotocol.empty()) text += "Sec-WebSocket-Protocol: " + subprotocol + "\r\n";
  if (!extensions.empty()) text += "Sec-WebSocket-Extensions: " + extensions + "\r\n";
  const auto judged = check_later_answer(ResponseHead::parse(text + "\r\n").value(), first, key);
  if (judged.has_error()) {
    CHECK(judged.error().status == 502);
    CHECK_FALSE(judged.error().what.empty());
  }
  return judged.has_value();
}

TEST_CASE("a pinned offer is permessage-deflate alone, and the client keeps no context") {
  CHECK(pinned_text("permessage-deflate") == "permessage-deflate; client_no_context_takeover");
  CHECK(pinned_text("x-frame, Permessage-Deflate; client_max_window_bits, other; a=1") ==
        "Permessage-Deflate; client_max_window_bits; client_no_context_takeover");
  CHECK(pinned_text("permessage-deflate; client_no_context_takeover; server_max_window_bits=10") ==
        "permessage-deflate; client_no_context_takeover; server_max_window_bits=10");
  CHECK(pinned_text("permessage-deflate; server_max_window_bits=9, permessage-deflate") ==
        "permessage-deflate; server_max_window_bits=9; client_no_context_takeover, "
        "permessage-deflate; client_no_context_takeover");
  CHECK(pinned_text("x-frame").empty());
  CHECK(pinned_text("").empty());
}

TEST_CASE("where answers are swallowed the server must keep no context either") {
  CHECK(pinned_text("permessage-deflate", ServerContext::must_go) ==
        "permessage-deflate; client_no_context_takeover; server_no_context_takeover");
  CHECK(pinned_text("permessage-deflate; server_no_context_takeover", ServerContext::must_go) ==
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover");
  // And an answer that grants less than that offer is garbage.
  const auto offer = pinned_offer(parsed("permessage-deflate"), ServerContext::must_go);
  CHECK(fault_in_answer(offer, parsed("permessage-deflate")).has_value());
  CHECK_FALSE(fault_in_answer(offer, parsed("permessage-deflate; server_no_context_takeover")).has_value());
}

TEST_CASE("what a pinned offer can be answered, the client's own offer can be answered as well") {
  const char* const offers[] = {"",
                                "; client_max_window_bits",
                                "; client_max_window_bits=12",
                                "; server_max_window_bits=12",
                                "; server_no_context_takeover",
                                "; client_no_context_takeover"};
  const char* const answers[] = {"",
                                 "; client_max_window_bits=11",
                                 "; client_max_window_bits=13",
                                 "; server_max_window_bits=11",
                                 "; server_max_window_bits=13",
                                 "; client_no_context_takeover",
                                 "; server_no_context_takeover"};
  const std::string name = "permessage-deflate";
  int legal = 0;
  for (const char* offer_text : offers) {
    for (const char* answer_text : answers) {
      CAPTURE(offer_text);
      CAPTURE(answer_text);
      const auto offer = parsed(name + offer_text);
      const auto answer = parsed(name + answer_text);
      if (fault_in_answer(pinned_offer(offer, ServerContext::may_stay), answer)) continue;
      ++legal;
      const Agreement told = pinned(agreed(to_text(answer)));
      CHECK_FALSE(fault_in_answer(offer, parsed(told.extensions)).has_value());
      CHECK_FALSE(memory_of(told).of_client);
    }
  }
  CHECK(legal > 15);
}

// Story: RFC 7692 section 7.1.1.2 lets a server leave the client's hint unanswered; the client would then
// take its context over, and the next backend could not read a single message.
TEST_CASE("the client is told to keep no context even if the backend's answer did not say so") {
  CHECK(pinned(agreed("permessage-deflate")).extensions == "permessage-deflate; client_no_context_takeover");
  CHECK(pinned(agreed("permessage-deflate; client_no_context_takeover")).extensions ==
        "permessage-deflate; client_no_context_takeover");
  const Agreement kept = pinned({"chat", "", 0x40});
  CHECK(kept.extensions.empty());
  CHECK(kept.subprotocol == "chat");
  CHECK(kept.allowed_rsv == 0x40);
}

TEST_CASE("what lives on from message to message is told from the agreement") {
  const auto memory = [](const char* extensions) {
    const Memory found = memory_of(agreed(extensions));
    return std::string(found.of_client ? "c" : "") + (found.of_server ? "s" : "") +
           (found.unknown ? "?" : "");
  };
  CHECK(memory("").empty());
  CHECK(memory("permessage-deflate") == "cs");
  CHECK(memory("permessage-deflate; client_no_context_takeover") == "s");
  CHECK(memory("permessage-deflate; server_no_context_takeover") == "c");
  CHECK(memory("permessage-deflate; client_no_context_takeover; server_no_context_takeover").empty());
  CHECK(memory("x-webkit-deflate-frame") == "?");
  CHECK(memory("permessage-deflate; client_no_context_takeover, other") == "s?");
}

TEST_CASE("a later backend is offered exactly what was agreed") {
  const Offer offer = offer_again(agreed("permessage-deflate; server_max_window_bits=10", "chat"));
  CHECK(offer.subprotocols == "chat");
  CHECK(offer.extensions == "permessage-deflate; server_max_window_bits=10");
  // Nothing agreed is no field, not the client's old one.
  CHECK(offer_again({}).subprotocols == "");
  CHECK(offer_again({}).extensions == "");
}

TEST_CASE("a later backend must choose the session's subprotocol") {
  CHECK(follows({}, "", ""));
  CHECK(follows(agreed("", "chat"), "chat", ""));
  CHECK_FALSE(follows(agreed("", "chat"), "", ""));
  CHECK_FALSE(follows(agreed("", "chat"), "news", ""));
  CHECK_FALSE(follows({}, "chat", ""));
}

TEST_CASE("permessage-deflate is agreed again with windows that both ends can live with, or not at all") {
  struct Row {
    const char* first;
    const char* later;
    bool fits;
  };
  const Row rows[] = {
      {"", "", true},
      {"; server_max_window_bits=12", "; server_max_window_bits=12", true},
      {"; server_max_window_bits=12", "; server_max_window_bits=9", true},
      {"; server_max_window_bits=12", "; server_max_window_bits=13", false},
      {"; server_max_window_bits=12", "", false},
      {"", "; server_max_window_bits=9", true},
      {"; client_max_window_bits=12", "; client_max_window_bits=12", true},
      {"; client_max_window_bits=12", "", true},
      {"; client_max_window_bits=12", "; client_max_window_bits=11", false},
      // More than was offered is no legal answer.
      {"; client_max_window_bits=12", "; client_max_window_bits=13", false},
      {"", "; client_max_window_bits=15", false},
      {"; server_no_context_takeover", "; server_no_context_takeover", true},
      {"; server_no_context_takeover", "", false},
      {"", "; server_no_context_takeover", true},
      {"; client_no_context_takeover", "; client_no_context_takeover", true},
      {"; client_no_context_takeover", "", true},
      {"", "; client_no_context_takeover", false},
      {"; novelty", "; novelty", false},
  };
  const std::string name = "permessage-deflate";
  for (const Row& row : rows) {
    CAPTURE(row.first);
    CAPTURE(row.later);
    CHECK(follows(agreed(name + row.first), "", name + row.later) == row.fits);
  }
  CHECK_FALSE(follows(agreed(name), "", ""));
  CHECK_FALSE(follows({}, "", name));
}

TEST_CASE("other extensions must come again in the same order with the same parameters") {
  const Agreement first = agreed("x; a=1; b, permessage-deflate");
  CHECK(follows(first, "", "X; a=1; b, permessage-deflate"));
  CHECK_FALSE(follows(first, "", "permessage-deflate, x; a=1; b"));
  CHECK_FALSE(follows(first, "", "x; a=2; b, permessage-deflate"));
  CHECK_FALSE(follows(first, "", "x; b; a=1, permessage-deflate"));
  CHECK_FALSE(follows(first, "", "x; a=1; b"));
}

TEST_CASE("a later answer that is no valid 101 does not fit") {
  const auto refuses = [](const std::string& text) {
    const auto judged = check_later_answer(ResponseHead::parse(text).value(), {}, key);
    return judged.has_error() && judged.error().status == 502;
  };
  CHECK(refuses("HTTP/1.1 200 OK\r\n\r\n"));
  CHECK(
      refuses("HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOO=\r\n\r\n"));
}

}  // namespace
}  // namespace holdfast::ws
