// Heads of both peers against the handshake. What passes must survive being written and read again:
// the request we build for a backend is itself a strict handshake, and the answers that we build
// parse, hold one Accept and no line that the peer smuggled in.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "holdfast/ws/continuation.hpp"
#include "holdfast/ws/handshake.hpp"

namespace {

namespace ws = holdfast::ws;

constexpr std::string_view key = "dGhlIHNhbXBsZSBub25jZQ==";

// The message of a broken invariant is the crash itself.
void require(bool holds) {
  if (!holds) std::abort();
}

// Our own fields are a handful and may push a head that was just legal over the limits of a parser.
bool has_room(const ws::Fields& head) {
  return head.size() + 8 <= ws::max_head_fields && head.raw().size() + 1024 <= ws::max_head_bytes;
}

// What is offered instead of the client's own extensions is the only such thing in the request.
void check_pinned_request(const ws::RequestHead& head, const ws::ForwardedBy& by,
                          const ws::ClientHandshake& handshake) {
  const auto offer = ws::pinned_offer(handshake.extensions, ws::ServerContext::must_go);
  const std::string stem =
      ws::with_offer(ws::build_request_stem(head, by), head, {}, {std::nullopt, ws::to_text(offer)});
  const auto built = ws::RequestHead::parse(ws::finish_request(stem, key));
  if (!built) return;  // the two flags made it too long
  const auto again = ws::check_request(*built);
  require(again.has_value() && ws::to_text(again->extensions) == ws::to_text(offer));
}

void check_built_request(const ws::RequestHead& head, const ws::ClientHandshake& handshake, ws::Trust trust) {
  const ws::ForwardedBy by{"192.0.2.1", std::string(*head.find("Host")), ws::Transport::tls, trust};
  const auto built =
      ws::RequestHead::parse(ws::finish_request(ws::with_offer(ws::build_request_stem(head, by), head), key));
  if (!has_room(head)) return;
  require(built.has_value());
  require(built->target() == head.target());
  require(built->count("Connection") == 1 && built->count("Upgrade") == 1);
  const auto again = ws::check_request(*built);
  require(again.has_value());
  require(again->key == key && again->host == handshake.host);
  require(again->subprotocols == handshake.subprotocols);
  require(again->extensions.size() == handshake.extensions.size());
  check_pinned_request(head, by, handshake);
}

void try_request(std::string_view bytes) {
  const auto head = ws::RequestHead::parse(bytes);
  if (!head) return require(head.error().status >= 400 && head.error().status <= 505);
  const auto handshake = ws::check_request(*head);
  if (!handshake) {
    const std::string answer = ws::build_error_answer(handshake.error());
    return require(ws::ResponseHead::parse(answer.substr(0, ws::find_head_end(answer))).has_value());
  }
  check_built_request(*head, *handshake, ws::Trust::untrusted);
  check_built_request(*head, *handshake, ws::Trust::trusted);
}

void try_response(std::string_view bytes) {
  const auto head = ws::ResponseHead::parse(bytes);
  if (!head) return require(head.error().status == 502);
  if (!has_room(*head)) return;
  if (head->status() != 101 && !head->is_interim()) {
    const auto relayed = ws::ResponseHead::parse(ws::build_relayed_head(*head));
    require(relayed.has_value());
    require(relayed->status() == head->status());
    require(relayed->body().end == head->body().end && relayed->body().length == head->body().length);
    return;
  }
  ws::ClientHandshake offer;
  offer.subprotocols = {"chat"};
  const std::string_view extensions[] = {"permessage-deflate; client_max_window_bits, other"};
  offer.extensions = ws::parse_extensions(extensions).value();
  const auto agreement = ws::check_answer(*head, offer, key);
  if (!agreement) return require(agreement.error().status == 502);
  const ws::Agreement told = ws::pinned(*agreement);
  // Written anew, parameters without blanks grow; only those of unknown extensions are so many.
  if (told.extensions.size() > agreement->extensions.size() + 64) return;
  const auto again = ws::ResponseHead::parse(ws::build_client_answer(*head, told, key));
  require(again.has_value());
  const auto agreed = ws::check_answer(*again, offer, key);
  require(agreed.has_value() && agreed->extensions == told.extensions);
  require(!ws::memory_of(told).of_client);
  // The same answer of a second backend looks the same to the client.
  require(ws::check_later_answer(*again, told, key).has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::size_t end = ws::find_head_end(bytes);
  const std::string_view head = bytes.substr(0, end);
  try_request(head);
  try_response(head);
  return 0;
}
