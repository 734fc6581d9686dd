#include "feed/requests.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "unit/dialect/shipped.hpp"

namespace holdfast::feed::test {
namespace {

using Texts = std::vector<std::string>;

struct Table final : Requests::Host {
  Table() : requests(numbers, static_cast<Requests::Host&>(*this)) {}

  Requests::Connection say(std::string_view text) override {
    if (connection != 0) said.emplace_back(text);
    return connection;
  }
  void answer(const Asker& asker, std::string text) override {
    told.push_back(std::to_string(asker.who.index) + " " + text);
  }
  void refuse(const Asker& asker, const Refusal& why) override {
    told.push_back(std::to_string(asker.who.index) + " " + std::string(text(why.fault)));
  }

  /// A client's call, as the dialect of JSON-RPC reads it.
  void ask(std::uint32_t client, const std::string& message) {
    const dialect::ClientAct act = rules->read_client(message, scratch);
    REQUIRE(act.what == dialect::ClientDo::request);
    Question question;
    question.asker = {0, {client, 0}, act.rule, std::string(act.id.of(message))};
    question.message = message;
    question.id = act.id;
    if (act.shared) question.shared_by = act.question;
    question.retryable = act.retryable;
    requests.ask(std::move(question), now);
  }
  bool hear(const std::string& message) {
    return requests.take(rules->read_source(message, {}, scratch), message);
  }
  void tick() { requests.tick(now, std::chrono::seconds(10), std::chrono::seconds(1)); }
  Texts take_said() { return std::exchange(said, {}); }
  Texts take_told() { return std::exchange(told, {}); }

  std::shared_ptr<const dialect::Dialect> rules = dialect::test::shipped("ethereum");
  dialect::Scratch scratch;
  std::uint64_t numbers = 0;
  Requests::Connection connection = 1;
  Texts said;
  Texts told;
  TimePoint now{std::chrono::hours(1)};
  Requests requests;
};

std::string call(const std::string& id, const std::string& method, const std::string& params = "[]") {
  return R"({"id":)" + id + R"(,"method":")" + method + R"(","params":)" + params + "}";
}

TEST_SUITE("questions to a source") {
  TEST_CASE("the same id of many clients: each gets its own answer with its own id, as it wrote it") {
    Table t;
    t.ask(7, call("1", "eth_call", "[7]"));
    t.ask(8, call("1", "eth_call", "[8]"));
    t.ask(9, call("\"1\"", "eth_call", "[9]"));
    CHECK(t.take_said() ==
          Texts{call("1", "eth_call", "[7]"), call("2", "eth_call", "[8]"), call("3", "eth_call", "[9]")});
    CHECK(t.hear(R"({"id":3,"result":9})"));
    CHECK(t.hear(R"({"id":1,"error":{"code":-32000,"message":"no"}})"));
    CHECK(t.hear(R"({"id":2,"result":8})"));
    CHECK(t.take_told() == Texts{R"(9 {"id":"1","result":9})",
                                 R"(7 {"id":1,"error":{"code":-32000,"message":"no"}})",
                                 R"(8 {"id":1,"result":8})"});
    CHECK_FALSE(t.hear(R"({"id":2,"result":8})"));
    CHECK(t.requests.size() == 0);
  }

  TEST_CASE("identical questions under way share an answer, others and later ones don't") {
    Table t;
    t.ask(1, call("10", "eth_chainId"));
    t.ask(2, call("20", "eth_chainId"));
    t.ask(3, call("30", "eth_blockNumber"));
    t.ask(4, call("40", "eth_call"));
    t.ask(5, call("50", "eth_call"));
    CHECK(t.take_said().size() == 4);
    t.hear(R"({"id":1,"result":"0x1"})");
    CHECK(t.take_told() == Texts{R"(1 {"id":10,"result":"0x1"})", R"(2 {"id":20,"result":"0x1"})"});
    t.ask(6, call("60", "eth_chainId"));
    CHECK(t.take_said().size() == 1);
  }

  TEST_CASE("a source that is lost: what may be asked twice is, once; the rest fails") {
    Table t;
    t.ask(1, call("1", "eth_call"));
    t.ask(2, call("2", "eth_sendRawTransaction"));
    t.take_said();
    t.connection = 2;
    t.requests.closed(1);
    CHECK(t.take_told() == Texts{"2 source_gone"});
    CHECK(t.take_said() == Texts{call("1", "eth_call")});
    CHECK(t.requests.waits_on(2));
    t.requests.closed(2);
    CHECK(t.take_told() == Texts{"1 source_gone"});
    CHECK(t.requests.size() == 0);
  }

  TEST_CASE("without a source it waits a little, then fails; once there is one it is asked") {
    Table t;
    t.connection = 0;
    t.ask(1, call("1", "eth_call"));
    t.now += std::chrono::milliseconds(900);
    t.tick();
    t.ask(2, call("2", "eth_call"));
    CHECK(t.take_told().empty());
    t.now += std::chrono::milliseconds(100);
    t.tick();
    CHECK(t.take_told() == Texts{"1 source_gone"});
    t.connection = 3;
    t.requests.opened();
    CHECK(t.take_said() == Texts{call("2", "eth_call")});
    t.requests.opened();
    CHECK(t.take_said().empty());
  }

  TEST_CASE("no answer in time is an answer; the late one is nobody's") {
    Table t;
    t.ask(1, call("1", "eth_call"));
    t.now += std::chrono::seconds(10);
    t.tick();
    CHECK(t.take_told() == Texts{"1 timed_out"});
    CHECK_FALSE(t.hear(R"({"id":1,"result":1})"));
    CHECK(t.take_told().empty());
  }
}

}  // namespace
}  // namespace holdfast::feed::test
