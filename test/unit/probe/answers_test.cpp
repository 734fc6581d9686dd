// What probes make of answers: bodies and messages, piece by piece.
#include <doctest/doctest.h>

#include <string>

#include "holdfast/probe/prober.hpp"
#include "probe/body.hpp"
#include "probe/messages.hpp"

namespace holdfast::probe::test {
namespace {

using Kind = Messages::Kind;

std::span<const std::byte> bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

TEST_CASE("a body is what its head says, without the chunked coding") {
  struct Row {
    ws::Body body;
    std::string raw;
    std::string text;
    bool whole;
  };
  const ws::Body chunked{ws::BodyEnd::chunked, 0};
  const std::vector<Row> rows{
      {{ws::BodyEnd::none, 0}, "more", "", true},
      {{ws::BodyEnd::length, 4}, "abc", "abc", false},
      {{ws::BodyEnd::length, 4}, "abcdef", "abcd", true},
      {{ws::BodyEnd::until_close, 0}, "abc", "abc", false},
      {chunked, "", "", false},
      {chunked, "3\r\nab", "ab", false},
      {chunked, "3\r\nabc\r\n", "abc", false},
      {chunked, "3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "abcde", true},
      {chunked, "A\r\n0123456789\r\n0\r\n", "0123456789", true},
      {chunked, "nonsense\r\nabc", "", true},
      {chunked, "\r\nabc", "", true},
      {chunked, "-1\r\nabc", "", true},
      {chunked, "ffffffffffffffffff\r\nabc", "", true},
      {chunked, "ffffffffffffffff\r\nabc", "abc", false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.raw);
    const PartOfBody part = body_of(row.body, row.raw);
    CHECK(part.text == row.text);
    CHECK(part.whole == row.whole);
  }
}

TEST_CASE("messages are the same however their bytes come") {
  const std::string stream = std::string("\x81\x02hi", 4) + std::string("\x01\x02he", 4) +
                             std::string("\x8a\x01p", 3) + std::string("\x80\x03llo", 5) +
                             std::string("\x89\x00", 2) + std::string("\x88\x02\x03\xe8", 4);
  for (std::size_t piece = 1; piece <= stream.size(); ++piece) {
    CAPTURE(piece);
    Messages messages;
    std::vector<std::pair<Kind, std::string>> got;
    for (std::size_t at = 0; at < stream.size(); at += piece) {
      messages.add(bytes(stream.substr(at, piece)));
      for (auto next = messages.next(); next.kind != Kind::nothing_yet; next = messages.next())
        got.emplace_back(next.kind, next.payload);
    }
    const std::vector<std::pair<Kind, std::string>> expected{{Kind::text_or_binary, "hi"},
                                                             {Kind::pong, "p"},
                                                             {Kind::text_or_binary, "hello"},
                                                             {Kind::other_control, ""},
                                                             {Kind::close, "\x03\xe8"}};
    CHECK(got == expected);
  }
}

TEST_CASE("a masked frame from a backend breaks the rules, and 64 KiB are enough") {
  Messages broken;
  broken.add(
      bytes(std::string("\x81\x82"
                        "abcdxy",
                        8)));
  CHECK(broken.next().kind == Kind::violation);

  Messages endless;
  endless.add(bytes(std::string("\x81\x7f\x00\x00\x00\x00\x00\x10\x00\x00", 10)));
  const std::string chunk(4096, 'x');
  for (int n = 0; n < 16; ++n) endless.add(bytes(chunk));
  CHECK(endless.next().kind == Kind::nothing_yet);
  CHECK(endless.too_many());
}

TEST_CASE("an unhealthy backend is probed at interval_down, where that is set") {
  using std::chrono::milliseconds;
  config::Probe probe;
  CHECK(Prober::pause(probe, upstream::Health::healthy) == milliseconds(2000));
  CHECK(Prober::pause(probe, upstream::Health::unhealthy) == milliseconds(2000));
  probe.interval_down = milliseconds(500);
  CHECK(Prober::pause(probe, upstream::Health::healthy) == milliseconds(2000));
  CHECK(Prober::pause(probe, upstream::Health::unknown) == milliseconds(2000));
  CHECK(Prober::pause(probe, upstream::Health::unhealthy) == milliseconds(500));
}

}  // namespace
}  // namespace holdfast::probe::test
