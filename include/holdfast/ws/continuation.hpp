// What a first handshake must settle so that its session can go on with another backend, and whether
// that one's 101 fits. Sans-io; safe in every thread.
//
// permessage-deflate (RFC 7692) is what makes a session hard to move: a compressor that keeps its window
// from message to message needs a peer that has read all messages before. A fresh server compressor harms
// no client, for it refers to nothing that came before it. A fresh server *decompressor* can't follow
// a client that takes its context over; so the client must have agreed not to.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "holdfast/ws/extensions.hpp"
#include "holdfast/ws/handshake.hpp"
#include "holdfast/ws/head.hpp"
#include "holdfast/ws/result.hpp"

namespace holdfast::ws {

// Whether the backend's compressor may keep its window. It must not where some of a backend's answers
// never reach the client (preamble_answers).
enum class ServerContext : std::uint8_t { may_stay, must_go };

// The offer to send instead of the client's: only what permits a change of backends. Every legal answer to it
// is a legal answer to the client's own offer (RFC 7692 sections 7.1.1.1 and 7.1.1.2).
[[nodiscard]] std::vector<Extension> pinned_offer(std::span<const Extension> offer, ServerContext context);

// What the client is told after a pinned offer: it keeps no context, even if the backend's answer left that
// open. A backend that keeps its decompressor's window is not hurt by a client that makes no use of it.
[[nodiscard]] Agreement pinned(Agreement agreement);

// What of the agreed extensions lives on from one message to the next.
struct Memory {
  bool of_client = false;  // the client's compressor may keep its window
  bool of_server = false;  // the backend's may
  bool unknown = false;    // an extension whose rules we don't know
};
[[nodiscard]] Memory memory_of(const Agreement& agreement);

// What a later backend is offered: exactly what was agreed.
[[nodiscard]] Offer offer_again(const Agreement& agreement);

// Whether a later backend's 101, the answer to `offer_again(first)` and `key`, looks the same to the client
// as `first`, which the client was told: same subprotocol, same extensions in the same order; for
// permessage-deflate a server window no larger, a client window no smaller, and nobody keeps a context who
// did not before. A rejection is 502.
[[nodiscard]] Judged<void> check_later_answer(const ResponseHead& head, const Agreement& first,
                                              std::string_view key);

}  // namespace holdfast::ws
