#include "probe/once.hpp"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "holdfast/net/proxy_header.hpp"
#include "holdfast/ws/handshake.hpp"
#include "holdfast/ws/walker.hpp"

namespace holdfast::probe {

namespace asio = boost::asio;

namespace {

constexpr std::size_t read_chunk_bytes = 1024;
// A backend that greets a new session with more than this before it answers a ping is not what the probe is
// for.
constexpr std::size_t longest_greeting_bytes = 64 * 1024;

Error failed(Failure failure, std::string what) {
  return {failure, Side::backend, Retry::no, std::move(what)};
}

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

std::string_view text_of(const ws::ControlFrame& frame) {
  return {reinterpret_cast<const char*>(frame.view().data()), frame.view().size()};
}

asio::awaitable<Result<void>> http_get(net::AsyncLeg& leg, std::string host, std::string path) {
  std::string request = "GET " + path + " HTTP/1.1\r\nHost: " + host +
                        "\r\nUser-Agent: holdfast-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n";
  auto answer = co_await dial::exchange(leg, std::move(request));
  if (!answer) co_return answer.error();
  const unsigned status = answer.value().head.status();
  if (status < 200 || status >= 400) co_return failed(Failure::garbage, "answered " + std::to_string(status));
  co_return Result<void>{};
}

// Walks what comes until the pong; frames that the application sends meanwhile are skipped.
asio::awaitable<Result<void>> await_pong(net::AsyncLeg& leg, std::string bytes,
                                         std::array<std::byte, 8> payload) {
  ws::Walker walker(ws::Sender::server);
  std::size_t position = 0;
  for (;;) {
    const auto rest = std::as_bytes(std::span(bytes)).subspan(position);
    const ws::Step step = walker.next(rest, {});
    if (step.kind == ws::StepKind::violation) {
      co_return failed(Failure::garbage, std::string(ws::describe(step.violation)));
    }
    if (step.kind == ws::StepKind::control) {
      const ws::ControlPayload got = ws::control_payload(rest.first(step.size), step.header);
      if (step.header.opcode == ws::Opcode::pong && std::ranges::equal(got.view(), payload))
        co_return Result<void>{};
      if (step.header.opcode == ws::Opcode::close) co_return failed(Failure::eof, "closed instead of a pong");
    }
    position += step.size;
    if (step.kind != ws::StepKind::need_more) continue;
    if (bytes.size() > longest_greeting_bytes) co_return failed(Failure::garbage, "no pong within 64 KiB");
    const std::size_t before = bytes.size();
    bytes.resize(before + read_chunk_bytes);
    auto got = co_await leg.read_some(std::as_writable_bytes(std::span(bytes)).subspan(before));
    if (!got) co_return failed(got.error().failure, "no pong: " + got.error().what);
    bytes.resize(before + got.value());
  }
}

asio::awaitable<Result<void>> websocket_ping(net::AsyncLeg& leg, std::string host, std::string path) {
  const std::string key = ws::make_key(random_bytes<16>());
  std::string request = "GET " + path + " HTTP/1.1\r\nHost: " + host +
                        "\r\nUser-Agent: holdfast-probe\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " +
                        key + "\r\n\r\n";
  auto answer = co_await dial::exchange(leg, std::move(request));
  if (!answer) co_return answer.error();
  const ws::ResponseHead& head = answer.value().head;
  if (head.status() != 101) co_return failed(Failure::garbage, "answered " + std::to_string(head.status()));
  const ws::ClientHandshake nothing_offered{};
  auto agreed = ws::check_answer(head, nothing_offered, key);
  if (!agreed) co_return failed(Failure::garbage, agreed.error().what);
  const auto payload = random_bytes<8>();
  const ws::ControlFrame ping = ws::encode_ping(payload, random_mask());
  auto written = co_await leg.write_all(text_of(ping));
  if (!written) co_return written;
  auto answered = co_await await_pong(leg, std::move(answer.value().behind), payload);
  if (!answered) co_return answered;
  const ws::ControlFrame close = ws::encode_close(1000, {}, random_mask());
  written = co_await leg.write_all(text_of(close));
  co_return Result<void>{};  // it has answered; how it takes the Close doesn't matter
}

}  // namespace

asio::awaitable<Result<void>> probe_once(asio::io_context& io,
                                         std::shared_ptr<const dial::Destination> destination,
                                         config::Address address, net::DescriptorBudget& budget) {
  const config::Probe& probe = destination->settings.probe;
  const TimePoint deadline = Clock::now() + probe.timeout;
  // Nobody stands behind a probe.
  std::string proxy_header =
      net::build_proxy_header(net::ProxyHeader{}, destination->settings.proxy_protocol);
  auto connected =
      co_await dial::connect(io, destination, address, std::move(proxy_header), budget, deadline);
  if (!connected) co_return connected.error();
  net::AsyncLeg& leg = *connected.value();
  leg.expires_at(deadline);
  const std::string host = address.kind == config::AddressKind::tcp ? address.text : "localhost";
  Result<void> outcome;
  if (probe.type == config::ProbeType::http) outcome = co_await http_get(leg, host, probe.path);
  if (probe.type == config::ProbeType::websocket) outcome = co_await websocket_ping(leg, host, probe.path);
  co_return outcome;
}

}  // namespace holdfast::probe
