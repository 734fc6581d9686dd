#include "holdfast/feed/log.hpp"

#include <doctest/doctest.h>

#include <random>
#include <string>

#include "feed/channel.hpp"
#include "holdfast/feed/writer.hpp"

namespace holdfast::feed::test {
namespace {

constexpr std::size_t everything = 1U << 30U;

Writer::Message message(const std::string& text, TimePoint when = {}, FrameKind kind = FrameKind::message) {
  return {ws::Opcode::text, std::as_bytes(std::span(text)), when, kind};
}

void write(Log& log, Writer& writer, const std::string& text, TimePoint when = {},
           FrameKind kind = FrameKind::message) {
  writer.write(message(text, when, kind), nullptr);
  for (const Log::Part& part : writer.take()) log.append(part.chunk, part.frames);
}

// The wire bytes that a subscriber at `from` gets, and how many pieces they were in.
std::pair<std::string, int> all_from(const Log& log, Sequence from) {
  std::string bytes;
  int pieces = 0;
  const Sequence end = log.gather(from, Form::plain, 0, everything, [&](std::span<const std::byte> piece) {
    bytes.append(reinterpret_cast<const char*>(piece.data()), piece.size());
    ++pieces;
    return true;
  });
  CHECK(end == log.end());
  return {bytes, pieces};
}

std::string frame(const std::string& text) {
  return std::string{'\x81', static_cast<char>(text.size())} + text;
}

TEST_CASE("what follows a subscriber's place is one piece of memory, as long as it is in one chunk") {
  Log log;
  Writer writer;
  for (const char* text : {"one", "two", "three"}) write(log, writer, text);
  CHECK(all_from(log, 0) == std::pair(frame("one") + frame("two") + frame("three"), 1));
  CHECK(all_from(log, 2) == std::pair(frame("three"), 1));
  CHECK(all_from(log, 3) == std::pair(std::string(), 0));
}

TEST_CASE("a gathering stops before its limit, but gives one frame at least") {
  Log log;
  Writer writer;
  for (int n = 0; n < 10; ++n) write(log, writer, std::string(100, 'x'));
  std::size_t got = 0;
  const auto count = [&](std::span<const std::byte> piece) {
    got += piece.size();
    return true;
  };
  CHECK(log.gather(0, Form::plain, 0, 3 * 102 + 50, count) == 3);
  CHECK(got == 3 * 102);
  CHECK(log.gather(3, Form::plain, 0, 5, count) == 4);
}

TEST_CASE("where there is no room for a further piece, the rest is for the next time") {
  Log log;
  Writer writer(1024);
  for (int n = 0; n < 50; ++n) write(log, writer, std::string(100, static_cast<char>('a' + n % 26)));
  const std::string whole = all_from(log, 0).first;
  CHECK(all_from(log, 0).second > 3);
  std::string bytes;
  Sequence next = 0;
  while (next < log.end()) {
    int left = 2;
    const Sequence before = next;
    next = log.gather(next, Form::plain, 0, everything, [&](std::span<const std::byte> piece) {
      if (left-- == 0) return false;
      bytes.append(reinterpret_cast<const char*>(piece.data()), piece.size());
      return true;
    });
    REQUIRE(next > before);
  }
  CHECK(bytes == whole);
}

TEST_CASE("a log keeps its bytes and its age, but the newest message and those for late joiners") {
  const TimePoint start{};
  Log log;
  Writer writer;
  Retention keep;
  keep.bytes = 1000;
  keep.age = std::chrono::seconds(10);
  keep.last = 2;
  for (int n = 0; n < 20; ++n) write(log, writer, std::string(98, 'x'), start + std::chrono::seconds(n));
  log.trim(keep, start + std::chrono::seconds(19));
  CHECK(log.begin() == 10);
  CHECK(log.bytes() == 1000);
  log.trim(keep, start + std::chrono::seconds(25));
  CHECK(log.begin() == 15);
  log.trim(keep, start + std::chrono::hours(1));
  CHECK(log.begin() == 18);
  keep.bytes = 1;
  log.trim(keep, start + std::chrono::hours(1));
  CHECK(log.begin() == 19);
  CHECK(all_from(log, 19).first == frame(std::string(98, 'x')));
}

TEST_CASE("what follows the latest snapshot stays, however old it is, within the bytes") {
  const TimePoint start{};
  Log log;
  Writer writer;
  Retention keep;
  keep.from_snapshot = true;
  write(log, writer, "old", start);
  write(log, writer, "snapshot", start, FrameKind::snapshot);
  write(log, writer, "delta", start);
  log.trim(keep, start + std::chrono::hours(5));
  CHECK(log.begin() == 1);
  CHECK(joining_point(log, {config::JoinKind::snapshot, 0}) == 1);
  CHECK(joining_point(log, {config::JoinKind::none, 0}) == 3);
  CHECK(joining_point(log, {config::JoinKind::last, 1}) == 2);
  CHECK(joining_point(log, {config::JoinKind::last, 100}) == 1);
}

TEST_CASE("who can't keep up goes on where the policy says") {
  Log log;
  Writer writer;
  for (int n = 0; n < 10; ++n) write(log, writer, "x", {}, n == 4 ? FrameKind::snapshot : FrameKind::message);
  CHECK(point_after_lag(log, 2, config::OnLag::conflate) == 9);
  CHECK(point_after_lag(log, 2, config::OnLag::skip_to_snapshot) == 4);
  CHECK(point_after_lag(log, 6, config::OnLag::skip_to_snapshot) == 6);
  CHECK(point_after_lag(log, 2, config::OnLag::drop_oldest) == 2);
  log.restart(20);
  for (int n = 0; n < 3; ++n) write(log, writer, "y");
  CHECK(point_after_lag(log, 2, config::OnLag::drop_oldest) == 20);
  CHECK(point_after_lag(log, 2, config::OnLag::skip_to_snapshot) == 22);
}

TEST_CASE("what another log gives to a new one is the same") {
  std::mt19937 random(7);
  Log log;
  Writer writer(512);
  Retention keep;
  keep.bytes = 4000;
  for (int n = 0; n < 300; ++n) {
    write(log, writer, std::string(1 + random() % 200, static_cast<char>('a' + n % 26)));
    log.trim(keep, {});
  }
  Log copy;
  copy.restart(log.begin());
  for (const Log::Part& part : log.parts(log.begin())) copy.append(part.chunk, part.frames);
  CHECK(copy.begin() == log.begin());
  CHECK(copy.end() == log.end());
  CHECK(copy.bytes() == log.bytes());
  CHECK(all_from(copy, copy.begin()).first == all_from(log, log.begin()).first);
}

}  // namespace
}  // namespace holdfast::feed::test
