#include "feed/order.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace holdfast::feed::test {
namespace {

using Numbers = std::vector<std::uint64_t>;

enum class Kind : std::uint8_t { last, first_and_last, content };

/// What goes out of several connections that bring 1, 2, 3, …
struct Channel {
  void bring(std::size_t slot, std::uint64_t number) {
    Writer::Message message;
    const std::string text = std::to_string(number);
    message.payload = std::as_bytes(std::span(text));
    message.came = now;
    Order::Verdict verdict{};
    if (kind == Kind::content) {
      verdict = order.take(slot, number, brought.insert(number).second);
    } else {
      const bool says = kind == Kind::first_and_last;
      verdict = order.take(slot, says ? std::optional(number) : std::nullopt, number, true);
    }
    if (verdict == Order::Verdict::goes) out.push_back(number);
    if (verdict == Order::Verdict::waits) order.hold({slot, number, kind != Kind::content, message});
    release();
  }
  void release(TimePoint patient_until = TimePoint::min()) {
    for (const Order::Held& each : order.release(patient_until)) {
      const auto payload = each.message().payload;
      out.push_back(std::stoull(std::string(reinterpret_cast<const char*>(payload.data()), payload.size())));
    }
  }
  void end(std::size_t slot) {
    order.end(slot);
    release();
  }

  Order order;
  Kind kind = Kind::last;
  std::set<std::uint64_t> brought;
  TimePoint now{std::chrono::hours(1)};
  Numbers out;
};

Numbers up_to(std::uint64_t last) {
  Numbers all;
  for (std::uint64_t n = 1; n <= last; ++n) all.push_back(n);
  return all;
}

TEST_SUITE("order of numbered messages") {
  TEST_CASE("a connection that begins ahead of the other waits until that has caught up") {
    Channel c;
    c.order.begin(0, true);
    for (std::uint64_t n = 1; n <= 3; ++n) c.bring(0, n);
    c.order.begin(1, false);
    c.bring(1, 6);
    c.bring(1, 7);
    CHECK(c.out == up_to(3));
    c.bring(0, 4);
    c.bring(0, 5);
    CHECK(c.out == up_to(5));
    c.bring(0, 6);
    CHECK(c.out == up_to(7));
    CHECK_FALSE(c.order.has_held());
    c.bring(0, 7);
    c.bring(1, 8);
    c.bring(0, 8);
    CHECK(c.out == up_to(8));
  }

  TEST_CASE("messages that say where they begin need not wait where they follow") {
    Channel c;
    c.kind = Kind::first_and_last;
    c.order.begin(0, true);
    c.bring(0, 1);
    c.order.begin(1, false);
    c.bring(1, 2);
    CHECK(c.out == up_to(2));
  }

  TEST_CASE("when the other one is lost, or says nothing, what has waited goes") {
    Channel lost;
    lost.order.begin(0, true);
    lost.bring(0, 1);
    lost.order.begin(1, false);
    lost.bring(1, 5);
    lost.end(0);
    lost.bring(1, 6);
    CHECK(lost.out == Numbers{1, 5, 6});
    Channel silent;
    silent.order.begin(0, true);
    silent.bring(0, 1);
    silent.order.begin(1, false);
    silent.bring(1, 5);
    silent.release(silent.now - std::chrono::milliseconds(1));
    CHECK(silent.out == Numbers{1});
    silent.release(silent.now);
    silent.bring(0, 2);
    silent.bring(1, 6);
    CHECK(silent.out == Numbers{1, 5, 6});
  }

  TEST_CASE("what is older than the first that went out is not sent behind it") {
    Channel c;
    c.kind = Kind::content;
    c.bring(1, 5);
    c.bring(0, 3);
    c.bring(0, 4);
    c.bring(0, 5);
    c.bring(0, 6);
    c.bring(1, 6);
    CHECK(c.out == Numbers{5, 6});
    CHECK_FALSE(c.order.has_held());
  }

  TEST_CASE("what waits is bounded") {
    Channel c;
    c.order.begin(0, true);
    c.bring(0, 1);
    c.order.begin(1, false);
    for (std::uint64_t n = 3; n < 100'000; ++n) c.bring(1, n);
    CHECK(c.out.size() > 1);
  }

  TEST_CASE("a connection that is alone may count anew") {
    Channel c;
    c.order.begin(0, true);
    c.bring(0, 100);
    c.end(0);
    c.order.begin(0, true);
    c.bring(0, 1);
    CHECK(c.out == Numbers{100, 1});
  }

  TEST_CASE("whatever the delays of two connections, each number goes out once and in order") {
    for (unsigned seed = 0; seed < 500; ++seed) {
      CAPTURE(seed);
      std::mt19937 random(seed);
      Channel c;
      c.kind = static_cast<Kind>(random() % 3);
      c.order.begin(0, true);
      std::uint64_t old = 0;
      std::uint64_t fresh = random() % 10;  // the last one that came before it began
      const std::uint64_t begins_at = random() % 10;
      while (old < begins_at) c.bring(0, ++old);
      c.order.begin(1, false);
      while (old < 50 || fresh < 50) {
        if (old < 50 && (fresh == 50 || random() % 2 == 0)) {
          c.bring(0, ++old);
        } else {
          c.bring(1, ++fresh);
        }
      }
      CHECK(c.out == up_to(50));
    }
  }
}

}  // namespace
}  // namespace holdfast::feed::test
