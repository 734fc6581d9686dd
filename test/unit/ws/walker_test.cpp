#include "holdfast/ws/walker.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "test/unit/ws/stream.hpp"

namespace holdfast::ws {
namespace {

using namespace test;

// Every kind of frame and length form, with control frames between the fragments of a message.
Bytes long_stream(Sender sender) {
  return frame(sender, {Opcode::text, true, 0}) + frame(sender, {Opcode::text, true, 5}) +
         frame(sender, {Opcode::binary, true, 125}) + frame(sender, {Opcode::binary, true, 126}) +
         frame(sender, {Opcode::binary, false, 3}) + frame(sender, {Opcode::ping, true, 0}) +
         frame(sender, {Opcode::continuation, false, 200}) + frame(sender, {Opcode::pong, true, 125}) +
         frame(sender, {Opcode::continuation, true, 0}) + frame(sender, {Opcode::text, true, 300}) +
         close_frame(sender, 1000, "done");
}

Violation violation_of(Sender sender, const Bytes& stream, Limits limits = {}) {
  return walk(sender, stream, limits, {stream.size()}).violation;
}

TEST_CASE("walker sees the same frames wherever a stream is cut in two") {
  for (const Sender sender : {Sender::client, Sender::server}) {
    const Bytes stream = long_stream(sender);
    const Seen whole = walk(sender, stream, {}, {stream.size()});
    REQUIRE(whole.violation == Violation::none);
    REQUIRE(whole.frames.size() == 11);
    CHECK(whole.passed == stream);
    CHECK(whole.message_boundary);
    for (std::size_t cut = 1; cut < stream.size(); ++cut) {
      CAPTURE(cut);
      CHECK(walk(sender, stream, {}, {cut, stream.size()}) == whole);
    }
  }
}

TEST_CASE("walker sees the same frames in pieces of any fixed size") {
  const Bytes stream = long_stream(Sender::client);
  const Seen whole = walk(Sender::client, stream, {}, {stream.size()});
  for (std::size_t piece = 1; piece < 200; ++piece) {
    CAPTURE(piece);
    CHECK(walk(Sender::client, stream, {}, {piece}) == whole);
  }
}

TEST_CASE("whole messages are taken at once, up to whatever needs a closer look") {
  for (const Sender sender : {Sender::client, Sender::server}) {
    const auto taken = [&](const Bytes& stream, Limits limits = {}) {
      return Walker(sender).whole_messages(stream, limits);
    };
    const Bytes simple = frame(sender, {Opcode::text, true, 5}) + frame(sender, {Opcode::binary, true, 125}) +
                         frame(sender, {Opcode::binary, true, 126}) +
                         frame(sender, {Opcode::text, true, 65'535});
    const WholeMessages all = taken(simple);
    CHECK(all.size == simple.size());
    CHECK(all.texts == 2);
    CHECK(all.binaries == 2);
    const std::size_t three = simple.size() - frame(sender, {Opcode::text, true, 65'535}).size();
    CHECK(taken(Bytes(simple.begin(), simple.end() - 1)).size == three);
    CHECK(taken(simple, {65'535, 0}).size == simple.size());
    CHECK(taken(simple, {65'534, 0}).size == three);
    for (const Bytes& behind :
         {frame(sender, {Opcode::binary, true, 65'536}), frame(sender, {Opcode::text, false, 9}),
          frame(sender, {Opcode::ping, true, 9}), frame(sender, {Opcode::text, true, 9, rsv1}),
          close_frame(sender, 1000, "done"),
          bytes_of({0x81, 0x7e | (sender == Sender::client ? 0x80U : 0U), 0, 5, 1, 2, 3, 4, 5, 6, 7, 8, 9}),
          frame(sender == Sender::client ? Sender::server : Sender::client, {Opcode::text, true, 9}),
          frame(sender, {static_cast<Opcode>(3), true, 9})}) {
      CHECK(taken(simple + behind, {0, rsv1}).size == simple.size());
    }
    Walker inside(sender);
    const Bytes begun = frame(sender, {Opcode::text, false, 9});
    REQUIRE(inside.next(begun, {}).size == begun.size());
    CHECK(inside.whole_messages(simple, {}).size == 0);
    CHECK(taken({}).size == 0);
  }
}

TEST_CASE("walker reports frames with their order, finality and size on the wire") {
  const Bytes stream = frame(Sender::server, {Opcode::text, false, 2}) +
                       frame(Sender::server, {Opcode::ping, true, 1}) +
                       frame(Sender::server, {Opcode::continuation, true, 70'000});
  const Seen seen = walk(Sender::server, stream, {}, {stream.size()});
  CHECK(seen.frames == std::vector<SeenFrame>{{Opcode::text, false, 4},
                                              {Opcode::ping, true, 3},
                                              {Opcode::continuation, true, 70'010}});
}

TEST_CASE("walker consumes nothing of an incomplete header or control frame") {
  const Bytes data = frame(Sender::client, {Opcode::text, true, 70'000});
  for (std::size_t size = 0; size < 14; ++size) {
    Walker walker(Sender::client);
    const Step step = walker.next(std::span(data).first(size), {});
    CHECK(step.kind == StepKind::need_more);
    CHECK(step.size == 0);
    CHECK(walker.at_frame_boundary());
  }
  const Bytes ping = frame(Sender::client, {Opcode::ping, true, 125});
  for (std::size_t size = 0; size < ping.size(); ++size) {
    Walker walker(Sender::client);
    CHECK(walker.next(std::span(ping).first(size), {}).kind == StepKind::need_more);
  }
}

TEST_CASE("walker tells boundaries apart inside a frame, between fragments and between messages") {
  const Bytes first = frame(Sender::server, {Opcode::text, false, 10});
  Walker walker(Sender::server);
  CHECK(walker.at_message_boundary());
  CHECK(walker.next(std::span(first).first(5), {}).size == 5);
  CHECK_FALSE(walker.at_frame_boundary());
  CHECK(walker.frame_remaining() == 7);
  CHECK(walker.next(std::span(first).subspan(5), {}).size == 7);
  CHECK(walker.at_frame_boundary());
  CHECK_FALSE(walker.at_message_boundary());
  const Bytes last = frame(Sender::server, {Opcode::continuation, true, 0});
  CHECK(walker.next(last, {}).kind == StepKind::data);
  CHECK(walker.at_message_boundary());
}

TEST_CASE("walker gives a control frame's header and unmasked payload") {
  const Bytes stream = close_frame(Sender::client, 4001, "bye");
  Walker walker(Sender::client);
  const Step step = walker.next(stream, {});
  REQUIRE(step.kind == StepKind::control);
  CHECK(step.size == stream.size());
  const ControlPayload payload = control_payload(stream, step.header);
  CHECK(close_code(payload) == 4001);
  CHECK(close_reason(payload) == "bye");
}

TEST_CASE("walker refuses every frame that RFC 6455 section 5 forbids") {
  struct Row {
    const char* name;
    Sender sender;
    Bytes stream;
    Violation expected;
  };
  const Bytes open = frame(Sender::server, {Opcode::text, false, 1});
  const Row rows[] = {
      {"client unmasked", Sender::client, bytes_of({0x81, 0x00}), Violation::mask},
      {"server masked", Sender::server, bytes_of({0x81, 0x80}), Violation::mask},
      {"rsv1", Sender::server, bytes_of({0xc1, 0x00}), Violation::reserved_bits},
      {"rsv2", Sender::server, bytes_of({0xa1, 0x00}), Violation::reserved_bits},
      {"rsv3 on a ping", Sender::server, bytes_of({0x99, 0x00}), Violation::reserved_bits},
      {"opcode 3", Sender::server, bytes_of({0x83, 0x00}), Violation::reserved_opcode},
      {"opcode 7", Sender::server, bytes_of({0x87, 0x00}), Violation::reserved_opcode},
      {"opcode 11", Sender::server, bytes_of({0x8b, 0x00}), Violation::reserved_opcode},
      {"opcode 15", Sender::server, bytes_of({0x8f, 0x00}), Violation::reserved_opcode},
      {"ping of 126", Sender::server, bytes_of({0x89, 0x7e}), Violation::control_too_long},
      {"close of 2^16", Sender::server, bytes_of({0x88, 0x7f}), Violation::control_too_long},
      {"ping without FIN", Sender::server, bytes_of({0x09, 0x00}), Violation::control_fragmented},
      {"125 in 16 bits", Sender::server, bytes_of({0x82, 0x7e, 0, 125}), Violation::length_not_minimal},
      {"65535 in 64 bits", Sender::server, bytes_of({0x82, 0x7f, 0, 0, 0, 0, 0, 0, 0xff, 0xff}),
       Violation::length_not_minimal},
      {"2^63", Sender::server, bytes_of({0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0}),
       Violation::length_too_large},
      {"continuation first", Sender::server, bytes_of({0x80, 0x00}), Violation::continuation_unexpected},
      {"text in a message", Sender::server, open + bytes_of({0x81, 0x00}), Violation::continuation_expected},
      {"close of one byte", Sender::server, bytes_of({0x88, 0x01}), Violation::close_payload},
      {"close 1005", Sender::server, bytes_of({0x88, 0x02, 0x03, 0xed}), Violation::close_code},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(violation_of(row.sender, row.stream) == row.expected);
    CHECK(walk(row.sender, row.stream, {}, {1}).violation == row.expected);
    CHECK(close_code_for(row.expected) == 1002);
    CHECK_FALSE(describe(row.expected).empty());
  }
}

TEST_CASE("walker accepts exactly the close codes that may travel") {
  for (unsigned code = 0; code <= 0xffff; ++code) {
    const bool legal =
        (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
    const Bytes stream = bytes_of({0x88, 0x02, code >> 8U, code & 0xffU});
    const Violation found = violation_of(Sender::server, stream);
    if (found != (legal ? Violation::none : Violation::close_code)) FAIL("code " << code);
  }
}

TEST_CASE("walker takes an empty close and the largest legal length") {
  CHECK(violation_of(Sender::server, bytes_of({0x88, 0x00})) == Violation::none);
  Walker walker(Sender::server);
  const Bytes huge = bytes_of({0x82, 0x7f, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff});
  CHECK(walker.next(huge, {}).size == 10);
  CHECK(walker.frame_remaining() == (std::uint64_t{1} << 63U) - 1);
}

TEST_CASE("walker allows permessage-deflate's bit on the first frame of a message only") {
  const Limits deflate{0, rsv1};
  const auto ok = [&](const Bytes& stream) { return violation_of(Sender::server, stream, deflate); };
  CHECK(ok(frame(Sender::server, {Opcode::text, true, 3, rsv1})) == Violation::none);
  const Bytes open = frame(Sender::server, {Opcode::binary, false, 3, rsv1});
  CHECK(ok(open + frame(Sender::server, {Opcode::continuation, true, 3})) == Violation::none);
  CHECK(ok(open + frame(Sender::server, {Opcode::continuation, true, 3, rsv1})) == Violation::reserved_bits);
  CHECK(ok(frame(Sender::server, {Opcode::ping, true, 3, rsv1})) == Violation::reserved_bits);
  CHECK(ok(frame(Sender::server, {Opcode::text, true, 3, 0x20})) == Violation::reserved_bits);
}

TEST_CASE("walker allows an unknown extension's bits on every frame") {
  const Bytes stream = frame(Sender::server, {Opcode::text, false, 1, rsv_all}) +
                       frame(Sender::server, {Opcode::ping, true, 1, 0x10}) +
                       frame(Sender::server, {Opcode::continuation, true, 1, rsv1});
  CHECK(violation_of(Sender::server, stream, {0, rsv_all}) == Violation::none);
}

TEST_CASE("walker counts the fragments of a message, not its control frames, against max_message") {
  const Bytes message = frame(Sender::client, {Opcode::text, false, 60}) +
                        frame(Sender::client, {Opcode::ping, true, 125}) +
                        frame(Sender::client, {Opcode::continuation, true, 40});
  CHECK(violation_of(Sender::client, message + message, {100, 0}) == Violation::none);
  CHECK(violation_of(Sender::client, message, {99, 0}) == Violation::message_too_big);
  CHECK(close_code_for(Violation::message_too_big) == 1009);
}

TEST_CASE("walker detects a message that is too big by its header alone") {
  const Bytes stream = frame(Sender::client, {Opcode::binary, true, 70'000});
  Walker walker(Sender::client);
  const Step step = walker.next(std::span(stream).first(14), {69'999, 0});
  CHECK(step.violation == Violation::message_too_big);
  CHECK(walker.next(std::span(stream).first(14), {70'000, 0}).kind == StepKind::data);
}

TEST_CASE("walker refuses the next fragment when a reload lowers max_message under an open message") {
  Walker walker(Sender::server);
  const Bytes open = frame(Sender::server, {Opcode::text, false, 50});
  CHECK(walker.next(open, {100, 0}).size == open.size());
  const Bytes last = frame(Sender::server, {Opcode::continuation, true, 0});
  CHECK(walker.next(last, {49, 0}).violation == Violation::message_too_big);
}

TEST_CASE("walker's message size cannot wrap around") {
  Walker walker(Sender::server);
  const std::uint64_t half = (std::uint64_t{1} << 63U) - 1;
  // Two fragments of almost 2^63 bytes fill the counter, a third would wrap it. Their payload is skipped
  // in giant steps, for which no memory exists: `next` only looks at sizes inside a frame.
  for (const unsigned first : {0x02U, 0x00U}) {
    const Bytes header = bytes_of({first, 0x7f, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff});
    REQUIRE(walker.next(header, {}).kind == StepKind::data);
    REQUIRE(walker.next({header.data(), static_cast<std::size_t>(half)}, {}).size == half);
  }
  const Bytes third = bytes_of({0x00, 0x03, 1, 2, 3});
  REQUIRE(walker.next(third, {}).size == 5);
  // The limit comes with a reload, while the message is open.
  CHECK(walker.next(third, {100, 0}).violation == Violation::message_too_big);
}

TEST_CASE("walker stays where it is after a violation") {
  const Bytes wrong = bytes_of({0x83, 0x00});
  Walker walker(Sender::server);
  CHECK(walker.next(wrong, {}).size == 0);
  CHECK(walker.at_message_boundary());
  CHECK(walker.next(wrong, {}).violation == Violation::reserved_opcode);
}

}  // namespace
}  // namespace holdfast::ws
