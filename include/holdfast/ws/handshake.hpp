// The opening handshake on both sides of the proxy (RFC 6455 section 4). Sans-io: heads in, heads
// out. The proxy owns both handshakes: the backend gets a key of ours, the client an Accept of ours.
// Safe in every thread.
//
// Order of use: RequestHead::parse -> check_request -> build_request_stem -> with_offer -> (pick, connect)
// finish_request -> ResponseHead::parse -> status 101: check_answer, build_client_answer; else:
// build_relayed_head. What a session needs to go on with another backend: continuation.hpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/ws/extensions.hpp"
#include "holdfast/ws/head.hpp"
#include "holdfast/ws/result.hpp"

namespace holdfast::ws {

// A field that we write ourselves; name and value hold no CR, LF or NUL.
struct ExtraField {
  std::string name;
  std::string value;
};

// What a valid client request asks for. Owns everything: it may outlive the head.
struct ClientHandshake {
  std::string host;                       // lower case, without port; IPv6 keeps its brackets
  std::string path;                       // target up to '?', byte for byte
  std::string query;                      // behind '?', byte for byte; empty also when there is none
  std::string key;                        // Sec-WebSocket-Key as sent
  std::vector<std::string> subprotocols;  // in order of preference, no duplicates
  std::vector<Extension> extensions;      // the offer
};

// Strict by RFC 6455 section 4.2.1. Only origin-form targets ("/..."): absolute-form would let the
// target and Host name different hosts. Rejections: 400, 405, 426, 505, each with its fields.
[[nodiscard]] Judged<ClientHandshake> check_request(const RequestHead& head);

// Base64 of 16 bytes; the caller brings random ones.
[[nodiscard]] std::string make_key(std::span<const std::byte, 16> random);

// Sec-WebSocket-Accept for a key (section 4.2.2).
[[nodiscard]] std::string accept_key(std::string_view key);

enum class Transport : std::uint8_t { plain, tls };
// Whether the client's own X-Forwarded-*/Forwarded fields are believed (listeners[].trusted_peers).
enum class Trust : std::uint8_t { untrusted, trusted };

// What a backend gets otherwise than the client wrote it. `withheld`: names of fields that don't pass, also
// where they are written with '_' for '-' (CGI-like backends can't tell them apart); `granted` come in their
// place.
struct Edits {
  std::optional<std::string> target;  // nullopt = the client's
  std::vector<std::string> withheld;
  std::vector<ExtraField> granted;
};

// What we tell the backend about the client leg.
struct ForwardedBy {
  std::string client;  // IP address without port or brackets; anything else becomes "unknown" in Forwarded
  std::string host;    // for X-Forwarded-Host: the Host field as the client sent it
  Transport transport = Transport::plain;
  Trust trust = Trust::untrusted;
  std::string certificate_subject = {};  // for Holdfast-Client-Subject: RFC 2253; empty = no such field
  Edits edits = {};
};

// What a request to a backend offers. nullopt = just what the client wrote; empty = no such field.
struct Offer {
  std::optional<std::string> subprotocols;
  std::optional<std::string> extensions;
};

// The request head for a backend but for what it offers (with_offer appends it), its key and its end
// (finish_request). All other end-to-end fields pass in order, the target as it is.
// Dropped: hop-by-hop fields and those that Connection names (but never Host, Origin, Cookie,
// Authorization, Sec-WebSocket-* or X-Forwarded-*: a client must not take the backend's means of judging it
// away), Expect and body framing (there is no body), Holdfast-*, and from untrusted peers X-Forwarded-* and
// Forwarded ('_' counts as '-', because CGI-like backends can't tell them apart).
// X-Forwarded-For/-Proto/-Host are always set; a trusted peer's For and Forwarded are appended to,
// its Proto and Host kept.
[[nodiscard]] std::string build_request_stem(const RequestHead& head, const ForwardedBy& by);
// `edits`: those of the stem.
[[nodiscard]] std::string with_offer(std::string_view stem, const RequestHead& head, const Edits& edits = {},
                                     const Offer& offer = {}, std::span<const ExtraField> extra = {});
// The same fields, but for those of the WebSocket handshake (Sec-WebSocket-Protocol stays: tokens travel
// there), as a whole GET of `target` at `host`, for a service that decides about this handshake. It also gets
// X-Forwarded-Method and X-Forwarded-Uri, the client's own target, and is to close the connection.
[[nodiscard]] std::string build_question(const RequestHead& head, const ForwardedBy& by,
                                         std::string_view host, std::string_view target);
[[nodiscard]] std::string finish_request(std::string_view stem, std::string_view key,
                                         std::span<const ExtraField> extra = {});

// What the backend's 101 settled.
struct Agreement {
  std::string subprotocol;       // empty = none
  std::string extensions;        // the answer's text, joined by ", "; empty = none. What the client is told
  std::uint8_t allowed_rsv = 0;  // for Limits::allowed_rsv in both directions
};

// `offer` and `key` are what was sent to this backend. A rejection (502) is garbage: the backend is not
// usable for this handshake, another one may be tried.
[[nodiscard]] Judged<Agreement> check_answer(const ResponseHead& head, const ClientHandshake& offer,
                                             std::string_view key);

// The 101 for the client: our Upgrade, Connection and Accept, the agreed extensions, and the backend's
// other end-to-end fields in order, each as often as it came. `head` has passed check_answer.
[[nodiscard]] std::string build_client_answer(const ResponseHead& head, const Agreement& agreement,
                                              std::string_view client_key,
                                              std::span<const ExtraField> extra = {});

// The 101 of an end point of our own.
[[nodiscard]] std::string build_own_answer(const Agreement& agreement, std::string_view client_key);

// A non-101 answer for the client: always HTTP/1.1 with Connection: close. Body framing is kept, so
// the body's bytes are to be passed on exactly as they come, up to the end that head.body() tells.
[[nodiscard]] std::string build_relayed_head(const ResponseHead& head);

// A whole answer of our own: text/plain, Content-Length, Connection: close. `fields` is whole lines
// as in Rejection::fields.
[[nodiscard]] std::string build_error_answer(unsigned status, std::string_view text,
                                             std::string_view fields = {});
[[nodiscard]] std::string build_error_answer(const Rejection& rejection);

// "Bad Request" for 400; empty for a status that has no name here.
[[nodiscard]] std::string_view reason_phrase(unsigned status) noexcept;

}  // namespace holdfast::ws
