#include "session/replay.hpp"

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

#include "unit/session/fixture.hpp"

namespace holdfast::session {
namespace {

using test::frame;
using ws::Opcode;
using ws::Sender;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
std::string message(std::string_view payload) {
  return frame(Sender::client, Opcode::text, payload);
}
std::string opening(std::string_view payload) {
  return frame(Sender::client, Opcode::text, payload, false);
}
std::string go_on(std::string_view payload) {
  return frame(Sender::client, Opcode::continuation, payload, false);
}
std::string last(std::string_view payload) {
  return frame(Sender::client, Opcode::continuation, payload);
}
std::string ping(std::string_view payload) {
  return frame(Sender::client, Opcode::ping, payload);
}

/// A stream as the session gives it: runs that end where a walker stops.
struct Stream {
  BufferPool pool;
  Replay replay;
  ws::Walker walker{Sender::client};
  Replay::Rules rules{64, 0};

  /// `taken` of the bytes are taken by the leg; all of them if it is more.
  void write(std::string_view text, std::size_t taken = std::string::npos) {
    const StreamPoint start = StreamPoint::of(walker);
    walk(text);
    if (replay.blocked()) {
      replay.queue(pool, bytes_of(text), start);
    } else {
      replay.wrote(pool, bytes_of(text), std::min(taken, text.size()), start, rules);
    }
    replay.check_invariants();
  }
  void hold(std::string_view text) {
    const StreamPoint start = StreamPoint::of(walker);
    walk(text);
    replay.queue(pool, bytes_of(text), start);
  }
  void take(std::size_t bytes) {
    replay.took(bytes, rules);
    replay.check_invariants();
  }
  Replay::Rewound rewind() { return replay.rewind(pool, StreamPoint::of(walker)); }
  [[nodiscard]] std::string unsent() const { return text_of(replay.unsent()); }

 private:
  void walk(std::string_view text) {
    for (std::size_t offset = 0; offset < text.size();) {
      const ws::Step step = walker.next(bytes_of(text.substr(offset)), {});
      REQUIRE(step.size > 0);
      offset += step.size;
    }
  }
};

TEST_CASE("messages that the leg took whole leave nothing behind") {
  Stream s;
  s.write(message("one") + ping("?") + message("two"));
  CHECK(s.replay.idle());
  CHECK(s.pool.outstanding() == 0);
  const auto rewound = s.rewind();
  CHECK(rewound.kept == 0);
  CHECK(rewound.dropped == 0);
}

TEST_CASE("a message under way is given again whole, from its first byte, without the control frames in it") {
  Stream s;
  const std::string part = opening("first ") + ping("?") + go_on("second ");
  s.write(message("before") + part);
  CHECK_FALSE(s.replay.blocked());
  const auto rewound = s.rewind();
  CHECK(rewound.resent == 1);
  CHECK(rewound.kept == 0);  // its last frame has not begun
  CHECK_FALSE(rewound.swallow);
  CHECK(s.unsent() == opening("first ") + go_on("second "));
}

TEST_CASE("a message cut inside a frame's payload continues behind what is given again") {
  Stream s;
  const std::string whole = message("0123456789");
  s.write(std::string_view(whole).substr(0, 9));
  const auto rewound = s.rewind();
  CHECK(rewound.resent == 1);
  CHECK(rewound.kept == 1);
  s.hold(std::string_view(whole).substr(9));
  CHECK(s.unsent() == whole);
}

TEST_CASE("of a blocked leg's queue the messages that it has whole are not given again") {
  Stream s;
  const std::string one = message("one");
  const std::string two = message("two");
  const std::string three = message("three");
  s.write(one + two + three, one.size() + 3);
  CHECK(s.replay.blocked());
  CHECK(s.unsent() == (two + three).substr(3));
  SUBCASE("cut at once") {
    const auto rewound = s.rewind();
    CHECK(rewound.resent == 1);
    CHECK(rewound.kept == 2);
    CHECK(s.unsent() == two + three);
  }
  SUBCASE("cut after it took some more") {
    s.take(two.size() - 3);
    CHECK(s.rewind().resent == 0);
    CHECK(s.unsent() == three);
  }
  SUBCASE("taken to the end") {
    s.take(two.size() + three.size() - 3);
    CHECK(s.replay.idle());
  }
}

TEST_CASE("a message above the cap is let go while it is sent, and swallowed when it is cut") {
  Stream s;
  const std::string large = message(std::string(200, 'x'));
  s.write(std::string_view(large).substr(0, 50));
  CHECK(s.replay.headless());
  CHECK(s.pool.outstanding() == 0);
  const auto rewound = s.rewind();
  CHECK(rewound.dropped == 1);
  CHECK(rewound.dropped_begun == 1);
  CHECK(rewound.swallow);
  CHECK(s.replay.idle());
}

TEST_CASE("fragments that grow above the cap are let go, too; the messages behind them are kept") {
  Stream s;
  s.write(opening(std::string(40, 'a')));
  CHECK_FALSE(s.replay.headless());
  s.write(go_on(std::string(40, 'b')));
  CHECK(s.replay.headless());
  const std::string end = last("c");
  const std::string next = message("next");
  s.write(end + next, 2);
  CHECK(s.replay.blocked());
  const auto rewound = s.rewind();
  CHECK(rewound.dropped == 1);
  CHECK_FALSE(rewound.swallow);
  CHECK(s.unsent() == next);
}

TEST_CASE("a message is given again once in its life") {
  Stream s;
  const std::string whole = message("0123456789");
  s.write(std::string_view(whole).substr(0, 9));
  CHECK(s.rewind().resent == 1);
  SUBCASE("the second leg had a part of it as well: it is over") {
    s.take(4);
    const auto second = s.rewind();
    CHECK(second.dropped == 1);
    CHECK(second.swallow);
    CHECK(s.replay.empty());
  }
  SUBCASE("the second leg had nothing of it: it still has its chance") {
    CHECK(s.rewind().dropped == 0);
    CHECK(s.replay.size() == 9);
  }
}

TEST_CASE(
    "unanswered messages are kept up to their limit, oldest dropped first, until a message comes back") {
  Stream s;
  s.rules.unanswered = 40;
  std::vector<std::string> all;
  for (int n = 0; n < 5; ++n) {
    all.push_back(message("message " + std::to_string(n)));  // 15 bytes each
    s.write(all.back());
  }
  SUBCASE("lost") {
    const auto rewound = s.rewind();
    CHECK(rewound.kept == 2);
    CHECK(rewound.resent == 2);
    CHECK(s.unsent() == all[3] + all[4]);
    s.take(s.replay.size());
    const auto second = s.rewind();
    CHECK(second.kept == 0);
    CHECK(second.dropped == 0);  // the second leg had them whole
    CHECK(s.replay.empty());
  }
  SUBCASE("answered") {
    s.replay.answered();
    CHECK(s.replay.empty());
  }
  SUBCASE("answered in the middle of the next one: that one stays") {
    const std::string next = message("0123456789");
    s.write(std::string_view(next).substr(0, 8));
    s.replay.answered();
    CHECK(s.rewind().kept == 1);
    CHECK(s.unsent() == next.substr(0, 8));
  }
}

TEST_CASE("the preamble goes first and is not part of what is counted or kept") {
  Stream s;
  s.hold(message("held"));
  const std::string login = message("login") + message("subscribe");
  s.replay.prepend(s.pool, bytes_of(login));
  CHECK(s.unsent() == login + message("held"));
  CHECK(s.replay.begun_messages() == 1);
  s.take(login.size() - 2);
  const auto rewound = s.rewind();
  CHECK(rewound.kept == 1);
  CHECK(s.unsent() == message("held"));
}

/// The data frames of a part of a stream that may end inside one.
std::string without_control(std::string_view stream) {
  std::string data;
  ws::Walker walker(Sender::client);
  for (std::size_t offset = 0; offset < stream.size();) {
    const ws::Step step = walker.next(bytes_of(stream.substr(offset)), {});
    if (step.kind == ws::StepKind::data) data += stream.substr(offset, step.size);
    offset += step.size;
  }
  return data;
}
/// Where the last data frame of the message in stream[from, to) ends.
std::size_t text_end(std::string_view stream, std::size_t from, std::size_t to) {
  std::size_t end = from;
  ws::Walker walker(Sender::client);
  for (std::size_t offset = from; offset < to;) {
    const ws::Step step = walker.next(bytes_of(stream.substr(offset, to - offset)), {});
    offset += step.size;
    if (step.kind == ws::StepKind::data) end = offset;
  }
  return end;
}

// Random streams, random cuts, against the plain definition: the next leg gets every message of which the
// lost one has not got the last byte, whole, without control frames, unless it is larger than the cap.
TEST_CASE("whatever the leg took, the next one gets exactly what it has not got whole") {
  std::mt19937 random(20261124);
  const auto below = [&](std::size_t limit) { return static_cast<std::size_t>(random() % limit); };
  for (int round = 0; round < 3'000; ++round) {
    Stream s;
    struct Sent {
      std::string data;     // without control frames
      std::size_t end = 0;  // in the stream
    };
    std::vector<Sent> messages;
    std::string stream;
    const std::size_t count = 1 + below(6);
    for (std::size_t n = 0; n < count; ++n) {
      Sent sent;
      const std::size_t fragments = 1 + below(3);
      for (std::size_t f = 0; f < fragments; ++f) {
        const std::string payload(below(25), static_cast<char>('a' + n));
        const std::string one =
            frame(Sender::client, f == 0 ? Opcode::text : Opcode::continuation, payload, f + 1 == fragments);
        sent.data += one;
        stream += one;
        if (below(4) == 0) stream += ping("p");
      }
      sent.end = stream.size();
      messages.push_back(std::move(sent));
    }
    s.rules.cap = 1'000;
    std::size_t fed = 0;
    std::size_t taken = 0;
    std::size_t position = 0;  // of a walker that finds where runs may end
    ws::Walker finder(Sender::client);
    const std::size_t stop = below(stream.size() + 1);
    while (fed < stop) {
      std::size_t end = position;
      const std::size_t wanted = std::min(stop, position + 1 + below(60));
      while (end < wanted) {
        const ws::Step step = finder.next(bytes_of(stream).subspan(end, wanted - end), {});
        if (step.kind == ws::StepKind::need_more) break;
        end += step.size;
      }
      if (end == position) break;
      const std::string_view run = std::string_view(stream).substr(position, end - position);
      if (s.replay.blocked()) {
        s.write(run);
        const std::size_t more = below(s.replay.unsent_bytes() + 1);
        if (more > 0) s.take(more);
        taken += more;
      } else {
        const std::size_t part = below(3) == 0 ? below(run.size() + 1) : run.size();
        s.write(run, part);
        taken += part;
      }
      fed = position = end;
    }
    std::string expected;
    std::size_t begin_of = 0;
    for (const Sent& sent : messages) {
      // Control frames behind a message's last frame are no part of it; a boundary is one either way.
      const std::size_t visible = std::min(fed, sent.end);
      if (visible > begin_of && text_end(stream, begin_of, sent.end) > taken) {
        expected += without_control(std::string_view(stream).substr(begin_of, visible - begin_of));
      }
      begin_of = sent.end;
    }
    (void)s.rewind();
    INFO("round " << round << ", stop " << stop << ", taken " << taken);
    REQUIRE(s.unsent() == expected);
  }
}

}  // namespace
}  // namespace holdfast::session
