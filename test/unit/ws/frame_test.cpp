#include "holdfast/ws/frame.hpp"

#include <doctest/doctest.h>

#include <string>

#include "test/unit/ws/stream.hpp"

namespace holdfast::ws {
namespace {

using namespace test;

Bytes header_bytes(const FrameHeader& header) {
  std::array<std::byte, max_header_bytes> out{};
  const std::size_t size = write_header(out, header);
  return {out.begin(), out.begin() + static_cast<std::ptrdiff_t>(size)};
}

Bytes all(const ControlFrame& made) {
  return {made.view().begin(), made.view().end()};
}

TEST_CASE("frame headers take the shortest form of their length") {
  FrameHeader header{Opcode::binary, true, 0, false, 0, 0, 125};
  CHECK(header_bytes(header) == bytes_of({0x82, 125}));
  header.payload = 126;
  CHECK(header_bytes(header) == bytes_of({0x82, 126, 0, 126}));
  header.payload = 0xffff;
  CHECK(header_bytes(header) == bytes_of({0x82, 126, 0xff, 0xff}));
  header.payload = 0x10000;
  CHECK(header_bytes(header) == bytes_of({0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0}));
}

TEST_CASE("frame headers carry FIN, reserved bits and the mask in memory order") {
  Mask mask = 0;
  const Bytes wire_mask = bytes_of({1, 2, 3, 4});
  std::memcpy(&mask, wire_mask.data(), sizeof mask);
  const FrameHeader header{Opcode::text, false, rsv1, true, 0, mask, 3};
  CHECK(header_bytes(header) == bytes_of({0x41, 0x83, 1, 2, 3, 4}));
}

TEST_CASE("a close frame to a client is code and reason in the clear") {
  CHECK(all(encode_close(1001, "go", std::nullopt)) == bytes_of({0x88, 0x04, 0x03, 0xe9, 'g', 'o'}));
  CHECK(all(encode_close(close_code_none, "ignored", std::nullopt)) == bytes_of({0x88, 0x00}));
}

// The example of RFC 6455 section 5.7: a masked "Hello".
TEST_CASE("a pong to a backend is masked as the RFC's example shows") {
  Mask mask = 0;
  const Bytes wire_mask = bytes_of({0x37, 0xfa, 0x21, 0x3d});
  std::memcpy(&mask, wire_mask.data(), sizeof mask);
  const std::string hello = "Hello";
  const Bytes expected = bytes_of({0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58});
  CHECK(all(encode_pong(std::as_bytes(std::span(hello)), mask)) == expected);
}

TEST_CASE("control payloads come back as they were encoded, masked or not") {
  const Bytes payload(max_control_payload, std::byte{0x5a});
  for (const auto mask : {std::optional<Mask>(), std::optional<Mask>(0xdeadbeef)}) {
    const ControlFrame ping = encode_ping(payload, mask);
    Walker walker(mask ? Sender::client : Sender::server);
    const Step step = walker.next(ping.view(), {});
    REQUIRE(step.kind == StepKind::control);
    CHECK(step.header.opcode == Opcode::ping);
    const ControlPayload back = control_payload(ping.view(), step.header);
    CHECK(Bytes(back.view().begin(), back.view().end()) == payload);
  }
}

TEST_CASE("a long close reason is cut to 123 bytes and never inside a character") {
  const ControlFrame ascii = encode_close(1000, std::string(200, 'x'), std::nullopt);
  CHECK(ascii.view().size() == 2 + 125);
  // 122 letters, then a character of two bytes that would end at byte 124.
  const ControlFrame cut = encode_close(1000, std::string(122, 'x') + "\xc3\xa4", std::nullopt);
  CHECK(cut.view().size() == 2 + 2 + 122);
}

TEST_CASE("payloads of pings over 125 bytes are cut") {
  CHECK(encode_ping(Bytes(300), std::nullopt).view().size() == 127);
}

TEST_CASE("an empty close payload reads as code 1005") {
  CHECK(close_code(ControlPayload{}) == close_code_none);
  CHECK(close_reason(ControlPayload{}).empty());
}

}  // namespace
}  // namespace holdfast::ws
