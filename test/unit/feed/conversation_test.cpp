#include "feed/conversation.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "sim/random.hpp"
#include "unit/dialect/shipped.hpp"

namespace holdfast::feed::test {
namespace {

using dialect::Fault;
using dialect::SourceAct;
using dialect::SourceDo;

/// The other end of a conversation.
struct Source final : Conversation::Partner {
  bool write(std::string_view text) override {
    if (is_full) return false;
    said.emplace_back(text);
    return true;
  }
  void confirmed(const std::string& key) override { events.push_back("+" + key); }
  void refused(const std::string& key, const Refusal& why) override {
    events.push_back("-" + key + " " + std::string(text(why.fault)));
  }
  std::vector<std::string> take_said() { return std::exchange(said, {}); }
  std::vector<std::string> take_events() { return std::exchange(events, {}); }

  bool is_full = false;
  std::vector<std::string> said;
  std::vector<std::string> events;
};

using Texts = std::vector<std::string>;

struct Fixture {
  explicit Fixture(std::shared_ptr<const dialect::Dialect> dialect, std::uint32_t per_second = 0)
      : rules(dialect),
        talk({std::move(dialect), per_second, std::chrono::seconds(10), &cells}, numbers,
             static_cast<Conversation::Partner&>(source)) {}
  explicit Fixture(const char* name, std::uint32_t per_second = 0)
      : Fixture(dialect::test::shipped(name), per_second) {}

  Texts run() {
    (void)talk.run(now);
    talk.check_invariants();
    return source.take_said();
  }
  bool answer(const std::string& message) {
    const bool is_taken = talk.take(rules->read_source(message, {}, scratch));
    talk.check_invariants();
    return is_taken;
  }

  std::shared_ptr<const dialect::Dialect> rules;
  metrics::SourceCells cells;
  std::uint64_t numbers = 0;
  Source source;
  Conversation talk;
  dialect::Scratch scratch;
  TimePoint now{std::chrono::hours(1)};
};

TEST_SUITE("conversation with a source") {
  TEST_CASE("channels that are asked for together are one command, and its ack is for all of them") {
    Fixture f("binance");
    f.talk.subscribe("a@trade");
    f.talk.subscribe("b@trade");
    f.talk.subscribe("a@trade");
    CHECK(f.run() == Texts{R"({"method":"SUBSCRIBE","params":["a@trade","b@trade"],"id":1})"});
    CHECK(f.source.take_events().empty());
    CHECK_FALSE(f.talk.is_settled());
    CHECK(f.answer(R"({"result":null,"id":1})"));
    CHECK(f.source.take_events() == Texts{"+a@trade", "+b@trade"});
    CHECK(f.talk.is_settled());
    CHECK_FALSE(f.answer(R"({"result":null,"id":1})"));  // once
    CHECK(f.run().empty());
  }

  TEST_CASE("who goes before the command leaves no trace, who goes before the answer leaves after it") {
    Fixture f("binance");
    f.talk.subscribe("a@trade");
    f.talk.unsubscribe("a@trade");
    CHECK(f.run().empty());
    f.talk.subscribe("b@trade");
    CHECK(f.run().size() == 1);
    f.talk.unsubscribe("b@trade");
    CHECK(f.run().empty());
    f.answer(R"({"result":null,"id":1})");
    CHECK(f.source.take_events().empty());
    CHECK(f.run() == Texts{R"({"method":"UNSUBSCRIBE","params":["b@trade"],"id":2})"});
    CHECK_FALSE(f.talk.knows("b@trade"));
  }

  TEST_CASE("who comes back before the goodbye was said stays, after it asks anew") {
    Fixture f("binance");
    f.talk.subscribe("a@trade");
    (void)f.run();
    f.answer(R"({"result":null,"id":1})");
    CHECK(f.source.take_events() == Texts{"+a@trade"});
    f.talk.unsubscribe("a@trade");
    f.talk.subscribe("a@trade");
    CHECK(f.source.take_events() == Texts{"+a@trade"});
    CHECK(f.run().empty());
    f.talk.unsubscribe("a@trade");
    CHECK(f.run().size() == 1);
    f.talk.subscribe("a@trade");
    CHECK(f.run() == Texts{R"({"method":"SUBSCRIBE","params":["a@trade"],"id":3})"});
  }

  TEST_CASE("a source's limit of messages a second holds in every second") {
    Fixture f("ethereum", 4);
    for (int n = 0; n < 10; ++n) f.talk.subscribe("[\"logs\"," + std::to_string(n) + "]");
    CHECK(f.run().size() == 4);
    f.now += std::chrono::milliseconds(999);
    CHECK(f.run().empty());
    f.now += std::chrono::milliseconds(1);
    f.talk.note_ping(f.now);
    CHECK(f.run().size() == 3);
    f.now += std::chrono::seconds(1);
    CHECK(f.talk.run(f.now) != TimePoint::max());
    CHECK(f.source.take_said().size() == 3);
  }

  TEST_CASE("whether the source was asked for a channel is known, also while it is asked for in halves") {
    Fixture f("binance", 1);
    CHECK_FALSE(f.talk.has_asked("a@trade"));
    f.talk.subscribe("a@trade");
    f.talk.subscribe("bad");
    CHECK_FALSE(f.talk.has_asked("a@trade"));
    CHECK(f.run().size() == 1);
    CHECK(f.talk.has_asked("a@trade"));
    f.talk.subscribe("late@trade");
    CHECK(f.answer(R"({"error":{"code":2,"msg":"no"},"id":1})"));
    CHECK(f.talk.has_asked("a@trade"));
    CHECK_FALSE(f.talk.has_asked("late@trade"));
    f.now += std::chrono::seconds(1);
    CHECK(f.run().size() == 1);
    CHECK(f.talk.has_asked("late@trade"));
    f.now += std::chrono::seconds(10);
    (void)f.run();
    CHECK(f.source.take_events().size() == 3);
    CHECK_FALSE(f.talk.has_asked("late@trade"));  // who asks anew waits anew
  }

  // Names of who had given up stayed in the queue until the source's pace came to them.
  TEST_CASE("who comes and goes before the source may be asked leaves nothing in the queue") {
    Fixture f("ethereum", 1);
    f.talk.subscribe("[\"first\"]");
    f.talk.subscribe("[\"stays\"]");
    CHECK(f.run().size() == 1);
    for (int n = 0; n < 20'000; ++n) {
      const std::string key = "[" + std::to_string(n % 50) + "]";
      f.talk.subscribe(key);
      f.talk.unsubscribe(key);
    }
    f.talk.check_invariants();
    CHECK(f.talk.queued() < 2'000);
    f.now += std::chrono::seconds(1);
    const Texts said = f.run();
    REQUIRE(said.size() == 1);
    CHECK(said[0].find("stays") != std::string::npos);
  }

  TEST_CASE("a connection that takes nothing is tried again, and nothing is lost or said twice") {
    Fixture f("ethereum");
    f.source.is_full = true;
    f.talk.subscribe("[\"newHeads\"]");
    CHECK(f.talk.say("words"));
    CHECK(f.run().empty());
    f.source.is_full = false;
    f.now += std::chrono::milliseconds(50);
    const Texts said = f.run();
    REQUIRE(said.size() == 2);
    CHECK(said[1] == "words");
    CHECK(f.run().empty());
  }

  TEST_CASE("an error refuses the channels that it names, the others keep waiting") {
    Fixture f("kraken");
    f.talk.subscribe("ticker|BTC/USD");
    f.talk.subscribe("ticker|NO/SUCH");
    CHECK(f.run().size() == 1);
    CHECK(f.answer(
        R"({"error":"Currency pair not supported","method":"subscribe","req_id":1,"success":false,"symbol":"NO/SUCH"})"));
    CHECK(f.source.take_events() == Texts{"-ticker|NO/SUCH source_error"});
    CHECK(f.answer(
        R"({"method":"subscribe","req_id":1,"result":{"channel":"ticker","symbol":"BTC/USD"},"success":true})"));
    CHECK(f.source.take_events() == Texts{"+ticker|BTC/USD"});
  }

  TEST_CASE("where answers name nothing, one command is said at a time, and the answer is its own") {
    Fixture f("coinbase");
    f.talk.subscribe("ticker|BTC-USD");
    CHECK(f.run().size() == 1);
    f.talk.subscribe("ticker|NO-SUCH");
    CHECK(f.run().empty());
    CHECK(f.answer(R"({"type":"subscriptions","channels":[]})"));
    CHECK(f.source.take_events() == Texts{"+ticker|BTC-USD"});
    CHECK(f.run().size() == 1);
    CHECK(f.answer(R"({"type":"error","message":"Failed to subscribe"})"));
    CHECK(f.source.take_events() == Texts{"-ticker|NO-SUCH source_error"});
    CHECK_FALSE(f.answer(R"({"type":"subscriptions","channels":[]})"));
  }

  TEST_CASE("a command that is refused as a whole is said again in halves: who is good gets what he wants") {
    Fixture f("binance");
    for (const char* key : {"a@trade", "b@trade", "bad", "d@trade"}) f.talk.subscribe(key);
    Texts events;
    std::size_t commands = 0;
    for (int rounds = 0; rounds < 10; ++rounds) {
      for (const std::string& said : f.run()) {
        ++commands;
        const std::string id = nlohmann::json::parse(said)["id"].dump();
        const bool is_bad = said.find("\"bad\"") != std::string::npos;
        f.answer(is_bad ? R"({"error":{"code":2,"msg":"no"},"id":)" + id + "}"
                        : R"({"result":null,"id":)" + id + "}");
      }
      for (const std::string& each : f.source.take_events()) events.push_back(each);
    }
    std::ranges::sort(events);
    CHECK(events == Texts{"+a@trade", "+b@trade", "+d@trade", "-bad source_error"});
    CHECK(commands == 5);
  }

  TEST_CASE("a source's subscription ids lead to channels, and stand in the command that leaves them") {
    Fixture f("ethereum");
    f.talk.subscribe("[\"newHeads\"]");
    CHECK(f.run() == Texts{R"({"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]})"});
    f.answer(R"({"jsonrpc":"2.0","id":1,"result":"0xabc"})");
    REQUIRE(f.talk.key_of("0xabc") != nullptr);
    CHECK(*f.talk.key_of("0xabc") == "[\"newHeads\"]");
    f.talk.unsubscribe("[\"newHeads\"]");
    CHECK(f.run() == Texts{R"({"jsonrpc":"2.0","id":2,"method":"eth_unsubscribe","params":["0xabc"]})"});
    CHECK(f.talk.key_of("0xabc") == nullptr);
  }

  TEST_CASE("who gets no answer is refused once; should it come later, the channel is left") {
    Fixture f("ethereum");
    f.talk.subscribe("[\"newHeads\"]");
    (void)f.run();
    f.now += std::chrono::seconds(10);
    (void)f.run();
    CHECK(f.source.take_events() == Texts{"-[\"newHeads\"] timed_out"});
    f.talk.unsubscribe("[\"newHeads\"]");
    CHECK(f.answer(R"({"jsonrpc":"2.0","id":1,"result":"0xabc"})"));
    CHECK(f.source.take_events().empty());
    CHECK(f.run() == Texts{R"({"jsonrpc":"2.0","id":2,"method":"eth_unsubscribe","params":["0xabc"]})"});
  }

  TEST_CASE("who asks again after that is asked for again") {
    Fixture f("binance");
    f.talk.subscribe("a@trade");
    (void)f.run();
    f.now += std::chrono::seconds(10);
    (void)f.run();
    f.talk.unsubscribe("a@trade");
    f.talk.subscribe("a@trade");
    CHECK(f.run().size() == 1);
    f.answer(R"({"result":null,"id":2})");
    CHECK(f.source.take_events() == Texts{"-a@trade timed_out", "+a@trade"});
    f.now += std::chrono::seconds(100);
    (void)f.run();  // the old question is forgotten, the channel is not
    CHECK(f.talk.is_open("a@trade"));
  }

  TEST_CASE("to renew is to leave and to ask again, on the wire in this order") {
    Fixture f("kraken");
    f.talk.subscribe("book|BTC/USD|10");
    (void)f.run();
    f.answer(
        R"({"method":"subscribe","req_id":1,"result":{"channel":"book","symbol":"BTC/USD","depth":10},"success":true})");
    f.talk.renew("book|BTC/USD|10");
    f.talk.renew("book|BTC/USD|10");
    const Texts said = f.run();
    REQUIRE(said.size() == 2);
    CHECK(said[0].find("\"unsubscribe\"") != std::string::npos);
    CHECK(said[1].find("\"subscribe\"") != std::string::npos);
  }

  TEST_CASE("where the source answers no commands, what was said has worked; without commands it is there") {
    Fixture silent(dialect::test::made(
        R"({"client":[],"commands":{"subscribe":{"message":{"add":"$keys"}}},"source":[{"do":"data","key":"/k"}]})"));
    silent.talk.subscribe("t1");
    CHECK(silent.run() == Texts{R"({"add":["t1"]})"});
    CHECK(silent.source.take_events() == Texts{"+t1"});
    Fixture rooms("rooms");
    rooms.talk.subscribe("r1");
    CHECK(rooms.run().empty());
    CHECK(rooms.source.take_events() == Texts{"+r1"});
    rooms.talk.unsubscribe("r1");
    CHECK(rooms.run().empty());
    CHECK_FALSE(rooms.talk.knows("r1"));
  }

  // A source that does as it is told, late; whoever wants what, in every order.
  TEST_CASE("what the source sends in the end is what is wanted in the end") {
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
      CAPTURE(seed);
      sim::Random random(seed);
      Fixture f("ethereum", random.chance(50) ? 3 : 0);
      std::set<std::string> wanted;
      std::map<std::string, std::string> sent;  // by id of the subscription: the channel
      std::vector<std::string> answers;
      int ids = 0;
      const auto obey = [&](const std::string& text) {
        const auto message = nlohmann::json::parse(text);
        nlohmann::json answer{{"jsonrpc", "2.0"}, {"id", message["id"]}};
        if (message["method"] == "eth_subscribe") {
          const std::string id = "0x" + std::to_string(++ids);
          sent[id] = message["params"].dump();
          answer["result"] = id;
        } else {
          CHECK(sent.erase(message["params"][0]) == 1);
          answer["result"] = true;
        }
        answers.push_back(answer.dump());
      };
      const auto step = [&] {
        f.now += std::chrono::milliseconds(random.below(400));
        f.source.is_full = random.chance(20);
        for (const std::string& text : f.run()) obey(text);
      };
      for (int n = 0; n < 200; ++n) {
        const std::string key = "[\"" + std::string(1, static_cast<char>('a' + random.below(4))) + "\"]";
        switch (random.below(4)) {
          case 0:
            if (wanted.insert(key).second) f.talk.subscribe(key);
            break;
          case 1:
            if (wanted.erase(key) == 1) f.talk.unsubscribe(key);
            break;
          case 2:
            if (!answers.empty()) {
              f.answer(answers.front());
              answers.erase(answers.begin());
            }
            break;
          default:
            step();
        }
        f.talk.check_invariants();
      }
      for (int n = 0; n < 60; ++n) {
        f.now += std::chrono::milliseconds(100);
        f.source.is_full = false;
        for (const std::string& text : f.run()) obey(text);
        for (const std::string& each : std::exchange(answers, {})) f.answer(each);
      }
      std::set<std::string> have;
      for (const auto& [id, key] : sent) CHECK(have.insert(key).second);
      CHECK(have == wanted);
      for (const std::string& key : wanted) CHECK(f.talk.is_open(key));
    }
  }
}

}  // namespace
}  // namespace holdfast::feed::test
