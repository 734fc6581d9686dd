// The client's half of the handshake: judging its request and writing ours to the backend.
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "holdfast/ws/handshake.hpp"
#include "ws/passing.hpp"
#include "ws/syntax.hpp"

namespace holdfast::ws {
namespace {

Rejection bad_request(std::string what) {
  return {400, std::move(what), {}};
}

// 16 bytes in base64 are 22 symbols and "==". The last symbol's four spare bits are not looked at:
// Accept is computed over the text, so they can't make two parties disagree.
bool is_key(std::string_view key) noexcept {
  if (key.size() != 24 || !key.ends_with("==")) return false;
  return std::all_of(key.begin(), key.end() - 2, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' || c == '/';
  });
}

// uri-host without userinfo (RFC 9110 section 7.2): reg-name, IPv4 or bracketed IPv6.
bool is_host_char(char c) noexcept {
  return is_token_char(c) || c == '(' || c == ')' || c == ';' || c == '=';
}
bool is_ipv6_char(char c) noexcept {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':' || c == '.';
}

// Lower case, without port; nullopt if it is no host.
std::optional<std::string> normalise_host(std::string_view value) {
  const bool bracketed = value.starts_with('[');
  const std::size_t end = bracketed ? value.find(']') : value.find(':');
  if (bracketed && end == std::string_view::npos) return std::nullopt;
  const std::string_view host = value.substr(0, bracketed ? end + 1 : end);
  const std::string_view port = value.substr(host.size());
  if (!port.empty() && port != ":" && (port[0] != ':' || !parse_number(port.substr(1), 65535)))
    return std::nullopt;
  const std::string_view inner = bracketed ? host.substr(1, host.size() - 2) : host;
  if (inner.empty() || !std::all_of(inner.begin(), inner.end(), bracketed ? is_ipv6_char : is_host_char)) {
    return std::nullopt;
  }
  std::string normal(host);
  std::transform(normal.begin(), normal.end(), normal.begin(), to_lower);
  return normal;
}

std::optional<Rejection> judge_upgrade(const RequestHead& head) {
  if (head.method() != "GET") return Rejection{405, "Only GET opens a WebSocket.", "Allow: GET\r\n"};
  if (head.version() != 11) return Rejection{505, "A WebSocket needs HTTP/1.1.", {}};
  if (!head.has_token("Upgrade", "websocket")) {
    return Rejection{426, "Only WebSocket is served here.", "Upgrade: websocket\r\n"};
  }
  if (!head.has_token("Connection", "upgrade")) return bad_request("Connection does not name Upgrade.");
  if (head.count("Transfer-Encoding") != 0) return bad_request("A WebSocket request has no body.");
  const auto lengths = head.values("Content-Length");
  if (std::any_of(lengths.begin(), lengths.end(), [](std::string_view value) { return value != "0"; })) {
    return bad_request("A WebSocket request has no body.");
  }
  if (head.only("Sec-WebSocket-Version") != "13") {
    return Rejection{426, "Only WebSocket version 13 is spoken here.",
                     "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"};
  }
  return std::nullopt;
}

std::optional<Rejection> read_subprotocols(const RequestHead& head, std::vector<std::string>& out) {
  for (const std::string_view value : head.values("Sec-WebSocket-Protocol")) {
    for (const std::string_view name : list_elements(value)) {
      if (!is_token(name)) return bad_request("Sec-WebSocket-Protocol is malformed.");
      if (std::find(out.begin(), out.end(), name) != out.end()) {
        return bad_request("Sec-WebSocket-Protocol names a subprotocol twice.");
      }
      out.emplace_back(name);
    }
  }
  return std::nullopt;
}

std::string base64(std::span<const unsigned char> bytes) {
  // EVP_EncodeBlock also writes a terminating NUL.
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes.data(),
                                   static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

// RFC 7239 section 6: IPv6 in brackets and quotes, everything that is no address "unknown".
std::string forwarded_for(std::string_view client) {
  const auto all = [client](auto allowed) { return std::all_of(client.begin(), client.end(), allowed); };
  const bool has_colon = client.find(':') != std::string_view::npos;
  if (has_colon && all(is_ipv6_char)) return "\"[" + std::string(client) + "]\"";
  if (!client.empty() && all([](char c) { return (c >= '0' && c <= '9') || c == '.'; }))
    return std::string(client);
  return "unknown";
}

std::string_view scheme(Transport transport) noexcept {
  return transport == Transport::tls ? "https" : "http";
}

// What an element of a list-valued field of the trusted peer is joined with.
std::string joined(const RequestHead& head, std::string_view name, std::string_view own) {
  std::string text;
  for (const std::string_view value : head.values(name)) {
    if (!value.empty()) text.append(value).append(", ");
  }
  return text.append(own);
}

void append_forwarding(std::string& out, const RequestHead& head, const ForwardedBy& by) {
  if (by.trust == Trust::untrusted) {
    append_field(out, "X-Forwarded-For", by.client);
    append_field(out, "X-Forwarded-Proto", scheme(by.transport));
    append_field(out, "X-Forwarded-Host", by.host);
    return;
  }
  append_field(out, "X-Forwarded-For", joined(head, "X-Forwarded-For", by.client));
  if (head.count("X-Forwarded-Proto") == 0) append_field(out, "X-Forwarded-Proto", scheme(by.transport));
  if (head.count("X-Forwarded-Host") == 0) append_field(out, "X-Forwarded-Host", by.host);
  if (head.count("Forwarded") != 0) {
    std::string own = "for=" + forwarded_for(by.client) + ";proto=";
    own.append(scheme(by.transport)).append(";host=\"").append(by.host).append("\"");
    append_field(out, "Forwarded", joined(head, "Forwarded", own));
  }
}

// Fields of which we write our own.
bool is_replaced(std::string_view name, Trust trust) {
  static constexpr NameSet always("Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Accept",
                                  "X-Forwarded-For", "Forwarded");
  if (always.has(name)) return true;
  if (begins_like(name, "holdfast-")) return true;
  return trust == Trust::untrusted && begins_like(name, "x-forwarded-");
}

bool is_withheld(std::string_view name, const Edits& edits) noexcept {
  return std::ranges::any_of(edits.withheld, [name](const std::string& each) { return is_like(name, each); });
}

void append_offered(std::string& out, const RequestHead& head, const Edits& edits, std::string_view name,
                    const std::optional<std::string>& value) {
  if (!value) {
    if (is_withheld(name, edits)) return;
    for (const std::string_view each : head.values(name)) append_field(out, name, each);
  } else if (!value->empty()) {
    append_field(out, name, *value);
  }
}

void append_fields(std::string& out, std::span<const ExtraField> fields) {
  for (const ExtraField& field : fields) append_field(out, field.name, field.value);
}

}  // namespace

Judged<ClientHandshake> check_request(const RequestHead& head) {
  if (auto fault = judge_upgrade(head)) return *std::move(fault);
  ClientHandshake handshake;

  const auto written_host = head.only("Host");
  if (!written_host) return bad_request("There must be exactly one Host.");
  auto host = normalise_host(*written_host);
  if (!host) return bad_request("Host is malformed.");
  handshake.host = *std::move(host);

  const auto key = head.only("Sec-WebSocket-Key");
  if (!key || !is_key(*key)) {
    return bad_request("There must be exactly one Sec-WebSocket-Key of 16 bytes in base64.");
  }
  handshake.key = *key;

  const std::string_view target = head.target();
  if (!target.starts_with('/')) return bad_request("The request target must begin with a slash.");
  const std::size_t mark = target.find('?');
  handshake.path = target.substr(0, mark);
  if (mark != std::string_view::npos) handshake.query = target.substr(mark + 1);

  if (auto fault = read_subprotocols(head, handshake.subprotocols)) return *std::move(fault);
  auto extensions = parse_extensions(head.values("Sec-WebSocket-Extensions"));
  if (!extensions) return extensions.error();
  handshake.extensions = *std::move(extensions);
  return handshake;
}

std::string make_key(std::span<const std::byte, 16> random) {
  return base64({reinterpret_cast<const unsigned char*>(random.data()), random.size()});
}

std::string accept_key(std::string_view key) {
  // Fetched once, for the process: SHA1() looks its implementation up at each call, for more than the digest
  // costs.
  static const EVP_MD* const sha1 = EVP_MD_fetch(nullptr, "SHA1", nullptr);
  // As dear as the digest itself to make and to free; kept by each thread.
  struct FreeContext {
    void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
  };
  static thread_local const std::unique_ptr<EVP_MD_CTX, FreeContext> context(EVP_MD_CTX_new());
  constexpr std::string_view suffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // section 1.3
  std::array<unsigned char, SHA_DIGEST_LENGTH> digest{};
  EVP_DigestInit_ex(context.get(), sha1, nullptr);
  EVP_DigestUpdate(context.get(), key.data(), key.size());
  EVP_DigestUpdate(context.get(), suffix.data(), suffix.size());
  EVP_DigestFinal_ex(context.get(), digest.data(), nullptr);
  return base64(digest);
}

std::string build_request_stem(const RequestHead& head, const ForwardedBy& by) {
  // Offers come later, and there is no body.
  static constexpr NameSet left_out("Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Content-Length",
                                    "Expect");
  std::string out;
  out.reserve(head.raw().size() + 256);
  out.append("GET ").append(by.edits.target ? *by.edits.target : head.target()).append(" HTTP/1.1\r\n");
  const auto named = list_of_connection(head);
  for (std::size_t i = 0; i < head.size(); ++i) {
    const Field field = head[i];
    if (is_hop_by_hop(field.name, named) || left_out.has(field.name)) continue;
    if (is_replaced(field.name, by.trust) || is_withheld(field.name, by.edits)) continue;
    append_field(out, field.name, field.value);
  }
  append_forwarding(out, head, by);
  if (!by.certificate_subject.empty()) append_field(out, "Holdfast-Client-Subject", by.certificate_subject);
  append_fields(out, by.edits.granted);
  out += "Sec-WebSocket-Version: 13\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
  return out;
}

std::string with_offer(std::string_view stem, const RequestHead& head, const Edits& edits, const Offer& offer,
                       std::span<const ExtraField> extra) {
  std::string out;
  out.reserve(stem.size() + 256);
  out += stem;
  append_offered(out, head, edits, "Sec-WebSocket-Protocol", offer.subprotocols);
  append_offered(out, head, edits, "Sec-WebSocket-Extensions", offer.extensions);
  append_fields(out, extra);
  return out;
}

std::string build_question(const RequestHead& head, const ForwardedBy& by, std::string_view host,
                           std::string_view target) {
  static constexpr NameSet of_the_handshake("Host", "Content-Length", "Expect", "Sec-WebSocket-Extensions");
  std::string out;
  out.reserve(head.raw().size() + 512);
  out.append("GET ").append(target).append(" HTTP/1.1\r\n");
  append_field(out, "Host", host);
  const auto named = list_of_connection(head);
  for (std::size_t i = 0; i < head.size(); ++i) {
    const Field field = head[i];
    if (is_hop_by_hop(field.name, named) || of_the_handshake.has(field.name)) continue;
    if (is_replaced(field.name, by.trust) || is_withheld(field.name, by.edits)) continue;
    const bool ours = is_like(field.name, "X-Forwarded-Method") || is_like(field.name, "X-Forwarded-Uri");
    if (!ours) append_field(out, field.name, field.value);
  }
  append_forwarding(out, head, by);
  append_field(out, "X-Forwarded-Method", "GET");
  append_field(out, "X-Forwarded-Uri", by.edits.target ? *by.edits.target : head.target());
  if (!by.certificate_subject.empty()) append_field(out, "Holdfast-Client-Subject", by.certificate_subject);
  append_fields(out, by.edits.granted);
  out += "Connection: close\r\n\r\n";
  return out;
}

std::string finish_request(std::string_view stem, std::string_view key, std::span<const ExtraField> extra) {
  std::string out;
  out.reserve(stem.size() + 256);
  out += stem;
  append_fields(out, extra);
  append_field(out, "Sec-WebSocket-Key", key);
  out += "\r\n";
  return out;
}

}  // namespace holdfast::ws
