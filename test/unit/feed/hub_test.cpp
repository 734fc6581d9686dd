#include "holdfast/feed/hub.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast::feed {
namespace {

using std::chrono::milliseconds;

// What an audience is told, in the order of the telling: "open 0" with the sequence behind what it brings, "2
// new", "refused".
struct Told final : Hub::Host {
  explicit Told(milliseconds flush_interval) {
    config::Feed settings;
    settings.flush_interval = flush_interval;
    hub =
        std::make_unique<Hub>(feed, 1, settings, dialect::Dialect::opaque(), static_cast<Hub::Host&>(*this));
  }
  ~Told() { hub.reset(); }

  void open_source(Hub::Channel& channel) override { hub->confirm(channel); }
  void close_source(Hub::Channel&) noexcept override {}
  void send(std::size_t, Opened&& item) override {
    Sequence end = item.first;
    for (const Log::Part& part : item.parts) end += part.frames.size();
    told.push_back("open " + std::to_string(end));
  }
  void send(std::size_t, Ended&&) override { told.emplace_back("ended"); }
  void send(std::size_t, Ruled&&) override {}
  void send(std::size_t, Refused&&) override { told.emplace_back("refused"); }
  void publish(std::size_t, const std::shared_ptr<const Batch>& batch) override {
    std::size_t count = 0;
    for (const Batch::Piece& piece : batch->pieces) {
      for (const Log::Part& part : piece.parts) count += part.frames.size();
    }
    told.push_back(std::to_string(count) + " new");
  }
  void publish_at(TimePoint when) override { asked_for.push_back(when); }

  Hub::Channel& join() {
    hub->want("", "", 0, start);
    Hub::Channel* found = nullptr;
    hub->for_each([&](Hub::Channel& each) { found = &each; });
    return *found;
  }
  void say(Hub::Channel& channel, milliseconds after) {
    const std::string_view text = "word";
    hub->came(channel, {ws::Opcode::text, std::as_bytes(std::span(text)), start + after});
    hub->publish(start + after);
  }
  std::vector<std::string> take() { return std::exchange(told, {}); }

  metrics::FeedCells cells;
  metrics::SourceCells source_cells;
  FeedState feed{"feed", {&cells}, source_cells};
  std::unique_ptr<Hub> hub;
  TimePoint start = Clock::now();
  std::vector<std::string> told;
  std::vector<TimePoint> asked_for;
};

using Strings = std::vector<std::string>;

}  // namespace

TEST_SUITE("feed hub") {
  TEST_CASE("without flush_interval each publish goes at once") {
    Told world(milliseconds(0));
    Hub::Channel& channel = world.join();
    world.say(channel, milliseconds(1));
    world.say(channel, milliseconds(1));
    CHECK(world.take() == Strings{"open 0", "1 new", "1 new"});
    CHECK(world.asked_for.empty());
  }

  TEST_CASE("what comes within flush_interval goes together at its end; behind a quiet one, at once") {
    Told world(milliseconds(100));
    Hub::Channel& channel = world.join();
    world.say(channel, milliseconds(0));
    CHECK(world.take() == Strings{"open 0", "1 new"});
    world.say(channel, milliseconds(10));
    world.say(channel, milliseconds(99));
    CHECK(world.take().empty());
    CHECK(world.asked_for == std::vector{world.start + milliseconds(100)});
    world.hub->publish_now(world.start + milliseconds(100));
    CHECK(world.take() == Strings{"2 new"});
    world.say(channel, milliseconds(150));
    CHECK(world.asked_for.back() == world.start + milliseconds(200));
    world.hub->publish_now(world.start + milliseconds(200));
    CHECK(world.take() == Strings{"1 new"});
    world.say(channel, milliseconds(300));
    CHECK(world.take() == Strings{"1 new"});
    CHECK(world.asked_for.size() == 2);
    world.hub->check_invariants();
  }

  TEST_CASE("who joins meanwhile gets what waits once, with the others") {
    Told world(milliseconds(100));
    Hub::Channel& channel = world.join();
    world.say(channel, milliseconds(0));
    world.say(channel, milliseconds(10));
    world.take();
    world.hub->want("", "", 0, world.start + milliseconds(20));
    CHECK(world.take() == Strings{"open 1"});
    world.hub->publish_now(world.start + milliseconds(100));
    CHECK(world.take() == Strings{"1 new"});
  }

  TEST_CASE("what waits goes out before its channel ends") {
    Told world(milliseconds(100));
    Hub::Channel& channel = world.join();
    world.say(channel, milliseconds(0));
    world.say(channel, milliseconds(10));
    world.take();
    SUBCASE("refused") {
      world.hub->refuse(channel, {});
      CHECK(world.take() == Strings{"1 new", "refused"});
    }
    SUBCASE("with the feed") {
      world.hub->end_all(milliseconds(0));
      CHECK(world.take() == Strings{"1 new", "ended"});
    }
  }
}

}  // namespace holdfast::feed
