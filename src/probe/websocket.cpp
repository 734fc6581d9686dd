// A whole handshake, one exchange, and a proper end.

#include <openssl/rand.h>

#include <array>
#include <cstring>

#include "holdfast/ws/handshake.hpp"
#include "probe/messages.hpp"
#include "probe/once.hpp"

namespace holdfast::probe {

namespace asio = boost::asio;

namespace {

constexpr std::uint16_t normal_closure = 1000;
constexpr std::chrono::milliseconds longest_farewell{250};

template <std::size_t Size>
std::array<std::byte, Size> random_bytes() {
  std::array<std::byte, Size> bytes;
  RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(Size));
  return bytes;
}

ws::Mask random_mask() {
  const auto bytes = random_bytes<sizeof(ws::Mask)>();
  ws::Mask mask = 0;
  std::memcpy(&mask, bytes.data(), sizeof mask);
  return mask;
}

std::string bytes_of(const ws::ControlFrame& frame) {
  return {reinterpret_cast<const char*>(frame.view().data()), frame.view().size()};
}

std::string text_frame(std::string text) {
  const ws::Mask mask = random_mask();
  std::array<char, sizeof mask> key{};
  std::memcpy(key.data(), &mask, sizeof mask);
  std::array<std::byte, ws::max_header_bytes> head{};
  ws::FrameHeader header;
  header.opcode = ws::Opcode::text;
  header.masked = true;
  header.mask = mask;
  header.payload = text.size();
  const std::size_t size = ws::write_header(head, header);
  for (std::size_t n = 0; n < text.size(); ++n) text[n] = static_cast<char>(text[n] ^ key[n % key.size()]);
  return std::string(reinterpret_cast<const char*>(head.data()), size) + text;
}

/// What the backend is asked, and what counts as its answer.
struct Exchange {
  std::string frame;  ///< empty = nothing: it speaks by itself
  Messages::Kind answer = Messages::Kind::text_or_binary;
  std::string pong_payload;  ///< of a ping's answer
};

Exchange exchange_of(const config::Probe& probe) {
  if (!probe.send.empty()) return {text_frame(probe.send), Messages::Kind::text_or_binary, {}};
  if (!probe.expect.empty()) return {};
  const auto payload = random_bytes<8>();
  return {bytes_of(ws::encode_ping(payload, random_mask())), Messages::Kind::pong,
          std::string(reinterpret_cast<const char*>(payload.data()), payload.size())};
}

bool is_answer(const Exchange& asked, const Messages::Message& got, const Target& target) {
  if (got.kind != asked.answer) return false;
  return got.kind == Messages::Kind::pong ? got.payload == asked.pong_payload
                                          : target.expected.found_in(got.payload);
}

// Whatever else the application says meanwhile is passed over.
asio::awaitable<Result<void>> await_answer(net::AsyncLeg& leg, std::shared_ptr<const Target> target,
                                           Exchange asked, std::string early) {
  const std::string what = asked.answer == Messages::Kind::pong ? "no pong" : "no message that is expected";
  Messages messages;
  messages.add(std::as_bytes(std::span(early)));
  std::array<std::byte, 4096> chunk;
  for (;;) {
    for (;;) {
      const Messages::Message got = messages.next();
      if (got.kind == Messages::Kind::nothing_yet) break;
      if (is_answer(asked, got, *target)) co_return Result<void>{};
      if (got.kind == Messages::Kind::close) co_return failed(Failure::eof, what + ": it sent a Close");
      if (got.kind == Messages::Kind::violation) co_return failed(Failure::garbage, got.payload);
    }
    if (messages.too_many()) co_return failed(Failure::garbage, what + " within 64 KiB");
    auto got = co_await leg.read_some(chunk);
    if (!got) co_return failed(got.error().failure, what + ": " + got.error().what);
    messages.add(std::span(chunk).first(got.value()));
  }
}

Result<void> check_handshake(const ws::ResponseHead& head, const Target& target, const std::string& key) {
  if (head.status() != 101) return failed(Failure::garbage, "answered " + std::to_string(head.status()));
  ws::ClientHandshake offered{};
  const std::string& subprotocol = target.settings.subprotocol;
  if (!subprotocol.empty()) offered.subprotocols.push_back(subprotocol);
  const auto agreed = ws::check_answer(head, offered, key);
  if (!agreed) return failed(Failure::garbage, agreed.error().what);
  if (agreed.value().subprotocol != subprotocol)
    return failed(Failure::garbage, "did not agree on the subprotocol " + subprotocol);
  return {};
}

}  // namespace

asio::awaitable<Result<void>> ask_websocket(net::AsyncLeg& leg, std::shared_ptr<const Target> target) {
  const std::string key = ws::make_key(random_bytes<16>());
  std::string request = target->request + "Sec-WebSocket-Key: " + key + "\r\n\r\n";
  auto answer = co_await dial::exchange(leg, std::move(request));
  if (!answer) co_return answer.error();
  Result<void> outcome = check_handshake(answer.value().head, *target, key);
  if (!outcome && answer.value().head.status() != 101) co_return outcome;
  if (outcome) {
    Exchange asked = exchange_of(target->settings);
    const std::string frame = asked.frame;
    outcome = co_await leg.write_all(frame);
    std::string early = std::move(answer.value().behind);
    if (outcome) outcome = co_await await_answer(leg, target, std::move(asked), std::move(early));
  }
  // Also to one that did not answer as expected: for it this was a session.
  const std::string close = bytes_of(ws::encode_close(normal_closure, {}, random_mask()));
  leg.expires_at(Clock::now() + longest_farewell);
  auto written = co_await leg.write_all(close);
  (void)written;  // the outcome is known; how it takes the Close doesn't matter
  co_return outcome;
}

}  // namespace holdfast::probe
