// The backend's half of the handshake: judging its answer, and every answer that the client reads.
#include <algorithm>
#include <utility>

#include "holdfast/ws/handshake.hpp"
#include "ws/passing.hpp"
#include "ws/syntax.hpp"

namespace holdfast::ws {
namespace {

Rejection garbage(std::string what) {
  return {502, std::move(what), {}};
}

std::optional<Rejection> judge_switch(const ResponseHead& head, std::string_view key) {
  if (head.status() != 101) return garbage("The backend did not switch protocols.");
  if (head.version() != 11) return garbage("The backend switched protocols in HTTP/1.0.");
  if (!head.has_token("Upgrade", "websocket")) return garbage("The backend's Upgrade is not websocket.");
  if (!head.has_token("Connection", "upgrade"))
    return garbage("The backend's Connection does not name Upgrade.");
  if (head.only("Sec-WebSocket-Accept") != accept_key(key)) {
    return garbage("The backend's Sec-WebSocket-Accept is missing, doubled or wrong.");
  }
  const auto lengths = head.values("Content-Length");
  const bool has_length =
      std::any_of(lengths.begin(), lengths.end(), [](std::string_view value) { return value != "0"; });
  if (has_length || head.count("Transfer-Encoding") != 0)
    return garbage("The backend's 101 announces a body.");
  return std::nullopt;
}

std::optional<Rejection> read_subprotocol(const ResponseHead& head, const ClientHandshake& offer,
                                          std::string& subprotocol) {
  const auto values = head.values("Sec-WebSocket-Protocol");
  if (values.empty()) return std::nullopt;
  if (values.size() > 1) return garbage("The backend chose more than one subprotocol.");
  if (std::find(offer.subprotocols.begin(), offer.subprotocols.end(), values[0]) ==
      offer.subprotocols.end()) {
    return garbage("The backend chose a subprotocol that was not offered.");
  }
  subprotocol = values[0];
  return std::nullopt;
}

std::string status_line(unsigned status, std::string_view reason) {
  std::string line = "HTTP/1.1 " + std::to_string(status) + " ";
  return line.append(reason).append("\r\n");
}

// RFC 9110 section 15.5.22: 426 names the protocol in Upgrade, and whoever sends Upgrade names it in
// Connection.
std::string_view closing_connection(unsigned status) noexcept {
  return status == 426 ? "Connection: close, Upgrade\r\n" : "Connection: close\r\n";
}

void append_end_to_end(std::string& out, const ResponseHead& head,
                       std::span<const std::string_view> dropped) {
  const auto named = list_of_connection(head);
  for (std::size_t i = 0; i < head.size(); ++i) {
    const Field field = head[i];
    if (is_hop_by_hop(field.name, named) || is_any_of(field.name, dropped)) continue;
    append_field(out, field.name, field.value);
  }
}

}  // namespace

Judged<Agreement> check_answer(const ResponseHead& head, const ClientHandshake& offer, std::string_view key) {
  if (auto fault = judge_switch(head, key)) return *std::move(fault);
  Agreement agreement;
  if (auto fault = read_subprotocol(head, offer, agreement.subprotocol)) return *std::move(fault);

  const auto values = head.values("Sec-WebSocket-Extensions");
  const auto answer = parse_extensions(values);
  if (!answer) return garbage("The backend's " + answer.error().what);
  if (auto fault = fault_in_answer(offer.extensions, *answer)) return garbage(*std::move(fault));
  agreement.allowed_rsv = allowed_rsv(*answer);
  for (const std::string_view value : values) {
    if (!agreement.extensions.empty() && !value.empty()) agreement.extensions += ", ";
    agreement.extensions += value;
  }
  return agreement;
}

std::string build_own_answer(const Agreement& agreement, std::string_view client_key) {
  std::string out = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
  append_field(out, "Sec-WebSocket-Accept", accept_key(client_key));
  if (!agreement.extensions.empty()) append_field(out, "Sec-WebSocket-Extensions", agreement.extensions);
  if (!agreement.subprotocol.empty()) append_field(out, "Sec-WebSocket-Protocol", agreement.subprotocol);
  return out.append("\r\n");
}

std::string build_client_answer(const ResponseHead& head, const Agreement& agreement,
                                std::string_view client_key, std::span<const ExtraField> extra) {
  constexpr std::string_view dropped[] = {"Sec-WebSocket-Accept", "Sec-WebSocket-Extensions",
                                          "Content-Length"};
  std::string out;
  out.reserve(head.raw().size() + 256);
  out += "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
  append_field(out, "Sec-WebSocket-Accept", accept_key(client_key));
  if (!agreement.extensions.empty()) append_field(out, "Sec-WebSocket-Extensions", agreement.extensions);
  append_end_to_end(out, head, dropped);
  for (const ExtraField& field : extra) append_field(out, field.name, field.value);
  out += "\r\n";
  return out;
}

std::string build_relayed_head(const ResponseHead& head) {
  constexpr std::string_view dropped[] = {"Sec-WebSocket-Accept", "Content-Length"};
  std::string out = status_line(head.status(), head.reason());
  append_end_to_end(out, head, dropped);
  // Written once, whatever form it came in; a 304 or 204 has no body to measure.
  const bool may_have_body = head.status() >= 200 && head.status() != 204 && head.status() != 304;
  if (may_have_body && head.count("Content-Length") != 0) {
    append_field(out, "Content-Length", std::to_string(head.body().length));
  }
  for (const std::string_view value : head.values("Transfer-Encoding")) {
    if (may_have_body) append_field(out, "Transfer-Encoding", value);
  }
  if (head.status() == 426) append_field(out, "Upgrade", "websocket");
  return out.append(closing_connection(head.status())).append("\r\n");
}

std::string build_error_answer(unsigned status, std::string_view text, std::string_view fields) {
  std::string out = status_line(status, reason_phrase(status));
  out += "Content-Type: text/plain; charset=utf-8\r\n";
  append_field(out, "Content-Length", std::to_string(text.size() + 1));
  out.append(fields).append(closing_connection(status)).append("\r\n");
  return out.append(text).append("\n");
}

std::string build_error_answer(const Rejection& rejection) {
  return build_error_answer(rejection.status, rejection.what, rejection.fields);
}

std::string_view reason_phrase(unsigned status) noexcept {
  switch (status) {
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 421:
      return "Misdirected Request";
    case 426:
      return "Upgrade Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return {};
  }
}

}  // namespace holdfast::ws
