#include "holdfast/feed/writer.hpp"

#include <doctest/doctest.h>

#include <random>
#include <string>

#include "holdfast/feed/unpacker.hpp"
#include "holdfast/ws/walker.hpp"

namespace holdfast::feed::test {
namespace {

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Writer::Message message(const std::string& text) {
  return {ws::Opcode::text, std::as_bytes(std::span(text)), {}, FrameKind::message};
}

std::string payload_of(std::span<const std::byte> frame) {
  const ws::FrameHeader header = ws::detail::read_header(frame);
  REQUIRE(frame.size() == header.size + header.payload);
  return text_of(frame.subspan(header.size));
}

TEST_CASE("a deflated frame says so, is shorter, and inflates to the message; each by itself") {
  Writer writer;
  Packer packer;
  const std::string quote = R"({"stream":"btcusdt@trade","data":{"e":"trade","s":"BTCUSDT","p":"64000.10"}})";
  for (int n = 0; n < 3; ++n) writer.write(message(quote + quote), &packer);
  const auto parts = writer.take();
  REQUIRE(parts.size() == 1);
  Unpacker unpacker;
  // The third alone: nothing that came before is needed.
  const auto packed = parts[0].frames[2].bytes(Form::packed);
  const ws::FrameHeader header = ws::detail::read_header(packed);
  CHECK(header.rsv == ws::rsv1);
  CHECK(packed.size() < parts[0].frames[2].size[0]);
  const auto inflated = unpacker.unpack(packed.subspan(header.size), 0);
  CHECK(inflated.failure == Unpacker::Failure::none);
  CHECK(text_of(inflated.message) == quote + quote);
  CHECK(payload_of(parts[0].frames[2].bytes(Form::plain)) == quote + quote);
}

TEST_CASE("what deflating does not shorten goes as it is, also to those who take deflated messages") {
  Writer writer;
  Packer packer;
  std::mt19937 random(1);
  std::string noise(300, '\0');
  for (char& each : noise) each = static_cast<char>(random());
  for (const std::string& text : {noise, std::string("ab"), std::string()}) {
    writer.write(message(text), &packer);
    const auto parts = writer.take();
    const auto packed = parts[0].frames[0].bytes(Form::packed);
    CHECK(ws::detail::read_header(packed).rsv == 0);
    CHECK(payload_of(packed) == text);
  }
}

TEST_CASE("without a packer there is only the plain form, which everybody gets") {
  Writer writer;
  writer.write(message("hello"), nullptr);
  const auto parts = writer.take();
  CHECK(parts[0].frames[0].has(Form::packed) == false);
  CHECK(payload_of(parts[0].frames[0].bytes(Form::packed)) == "hello");
  CHECK(writer.empty());
}

TEST_CASE("a message larger than any chunk has a chunk of its own") {
  Writer writer(1024);
  const std::string large(100'000, 'x');
  writer.write(message("a"), nullptr);
  writer.write(message(large), nullptr);
  writer.write(message("b"), nullptr);
  const auto parts = writer.take();
  std::string got;
  for (const Log::Part& part : parts) {
    for (const Frame& frame : part.frames) got += payload_of(frame.bytes(Form::plain));
  }
  CHECK(got == "a" + large + "b");
}

TEST_CASE("a deflate bomb is refused at the limit, garbage is garbage") {
  Packer packer;
  const std::string zeros(1U << 20U, '\0');
  const auto packed = packer.pack(std::as_bytes(std::span(zeros)));
  REQUIRE(packed.size() < 10'000);
  Unpacker unpacker;
  CHECK(unpacker.unpack(packed, 1000).failure == Unpacker::Failure::too_big);
  CHECK(unpacker.unpack(packed, 1U << 20U).message.size() == zeros.size());
  const std::string garbage = "\xff\xff\xff\xff this is none";
  CHECK(unpacker.unpack(std::as_bytes(std::span(garbage)), 0).failure == Unpacker::Failure::garbage);
  CHECK(unpacker.unpack(packed, 0).failure == Unpacker::Failure::none);
}

}  // namespace
}  // namespace holdfast::feed::test
