// What a source sends, and what it is told.
#include <nlohmann/json.hpp>

#include "unit/dialect/shipped.hpp"

namespace holdfast::dialect::test {
namespace {

TEST_SUITE("messages of the source") {
  TEST_CASE("what is no JSON is unknown, and never more") {
    const auto dialect = shipped("binance");
    Scratch scratch;
    for (const std::string& message : std::vector<std::string>{
             "", "{", "null", "7", "\"x\"", "[]", "{}",
             "{\"stream\":\"a\",\"data\":", "{\"stream\":7,\"data\":1}}", "{\"stream\":\"\",\"data\":1}",
             "{\"stream\":{},\"data\":1}", "{\"stream\":\"a\\u0000\",\"data\":1}",
             "{\"stream\":\"a\",\"stream\":\"b\",\"data\":1}", "{\"stream\":\"a\",\"data\":1}{}",
             "{\"stream\":\"\xff\",\"data\":1}", "{\"stream\":\"a|b\",\"data\":1}"}) {
      CAPTURE(message);
      CHECK(dialect->read_source(message, "", scratch).what == SourceDo::unknown);
    }
  }

  TEST_CASE("large numbers are no numbers of ours") {
    const auto dialect = shipped("ethereum");
    Scratch scratch;
    for (const char* id : {"18446744073709551616", "-1", "1.0", "1e3", "\"1\"", "null", "01", "{}"}) {
      CAPTURE(id);
      const std::string message = std::string("{\"id\":") + id + ",\"result\":1}";
      CHECK(!dialect->read_source(message, "", scratch).number.has_value());
    }
    CHECK(dialect->read_source("{\"id\":18446744073709551615,\"result\":1}", "", scratch).number ==
          18446744073709551615ULL);
  }

  TEST_CASE("equal contents have equal digests, whatever stands around them") {
    const auto dialect = shipped("ethereum");
    Scratch scratch;
    const auto digest = [&](const std::string& params) {
      return dialect->read_source("{\"method\":\"eth_subscription\",\"params\":" + params + "}", "", scratch)
          .digest;
    };
    const auto one = digest(R"({"subscription":"0x1","result":{"hash":"0xaa","n":1}})");
    REQUIRE(one.has_value());
    CHECK(one == digest(R"({"result":{"n":2,"hash":"0xaa"},"subscription":"0x2"})"));
    CHECK(one != digest(R"({"subscription":"0x1","result":{"hash":"0xab","n":1}})"));
    CHECK(digest(R"({"result":{"n":1},"subscription":"0x1"})") ==
          digest(R"({"subscription":"0x2","result":{"n":1}})"));
    CHECK(!digest(R"({"subscription":"0x1"})").has_value());
  }

  TEST_CASE("one scratch serves several dialects, and large messages leave nothing behind") {
    const auto binance = shipped("binance");
    const auto kraken = shipped("kraken");
    Scratch scratch;
    const std::string small = R"({"stream":"a@trade","data":{"e":"trade"}})";
    const std::string large = "{\"stream\":\"a@trade\",\"data\":\"" + std::string(8U << 20U, 'x') + "\"}";
    for (int i = 0; i < 3; ++i) {
      CHECK(binance->read_source(large, "", scratch).slice.length == (8U << 20U) + 2);
      CHECK(
          kraken->read_source(R"({"channel":"trade","type":"update","data":[{"symbol":"A/B"}]})", "", scratch)
              .key.text == "trade|A/B");
      const SourceAct act = binance->read_source(small, "", scratch);
      CHECK(act.key.text == "a@trade");
      CHECK(act.slice.of(small) == "{\"e\":\"trade\"}");
    }
  }

  TEST_CASE("a message of many values is read in time in proportion to its length") {
    const auto dialect = made(R"({"client":[],"source":[{"if":{"/a/*/b":"x"},"do":"data","key":"/k"}]})");
    Scratch scratch;
    std::string message = "{\"a\":[";
    for (int i = 0; i < 200'000; ++i) message += "{\"b\":\"y\"},";
    message += "{\"b\":\"x\"}],\"k\":\"found\"}";
    CHECK(dialect->read_source(message, "", scratch).key.text == "found");
  }

  TEST_CASE("keys of one command: no more than it may name, and no longer than it may be") {
    const auto dialect = made(R"_({"client":[],"source":[],"commands":{
      "subscribe":{"message":["$keys","$n"],"max_keys":3,"max_bytes":64},
      "unsubscribe":{"match":"a*","message":{"k":"$key"}}}})_");
    const std::string long_key(40, 'l');
    const std::vector<CommandKey> keys{{"a", ""}, {"b", ""},      {"c", ""},
                                       {"d", ""}, {long_key, ""}, {"ae", ""}};
    const auto commands = dialect->render_commands(CommandKind::subscribe, keys, 10);
    REQUIRE(commands.size() == 2);
    CHECK(commands[0].text == R"([["a","b","c"],10])");
    CHECK(commands[0].keys == std::vector<std::size_t>{0, 1, 2});
    CHECK(commands[1].text == "[[\"d\",\"" + long_key + "\",\"ae\"],11]");
    const std::vector<CommandKey> longer{{long_key, ""}, {std::string_view(long_key).substr(1), ""}};
    CHECK(dialect->render_commands(CommandKind::subscribe, longer, 1).size() == 2);
    // Keys that no command is for are in none.
    const auto left = dialect->render_commands(CommandKind::unsubscribe, keys, 1);
    REQUIRE(left.size() == 2);
    CHECK(left[1].text == R"({"k":"ae"})");
    CHECK(left[1].keys == std::vector<std::size_t>{5});
    CHECK(dialect->render_commands(CommandKind::subscribe, {}, 1).empty());
  }

  TEST_CASE("what is rendered is JSON, whatever the values hold") {
    const auto dialect = made(R"_({"client":[{"do":"list","reply":
      {"a$$\"":"$key","text":"<$key|$message|$1>","list":["$keys","$id","$code",1.5,null],"g":"$group(all)","t":"$time",
       "or":"$id=[1, 2]","n":"$2:number","sub":"$subid"}}],
      "group":{"n":"$1","k":"$2[]"},"codes":{"other":-1},"source":[]})_");
    std::string bad;
    for (int c = 0; c < 256; ++c) bad += static_cast<char>(c);
    const std::vector<std::string> keys{bad, "\"|\\", "", "x|-0.5e3"};
    ReplyValues values;
    values.keys = keys;
    values.all = keys;
    values.message = bad;
    values.sub_id = bad;
    values.fault = Fault::refused;
    for (const std::string& key : keys) {
      values.key = key;
      const auto out = dialect->render_reply(0, Reply::result, values);
      REQUIRE(out.size() == 1);
      CHECK(nlohmann::json::accept(out[0]));
    }
    const auto tree = nlohmann::json::parse(dialect->render_reply(0, Reply::result, values)[0]);
    CHECK(tree["a$$\""] == "x|-0.5e3");
    CHECK(tree["or"].dump() == "[1,2]");
    CHECK(tree["n"] == -500.0);
    CHECK(tree["list"].size() == 4);
    CHECK(tree["list"][1] == -1);
    CHECK(tree["t"] == "1970-01-01T00:00:00.000000Z");
    // An id that is none is left out, not let through.
    values.id = "1,\"x\":2";
    CHECK(nlohmann::json::parse(dialect->render_reply(0, Reply::result, values)[0]) == tree);
  }

  TEST_CASE("which keys an ack or error is about") {
    CHECK(names_key("", "book|A/B|10"));
    CHECK(names_key("*|A/B|10", "book|A/B|10"));
    CHECK(!names_key("*|A/B", "book|A/BC"));
    CHECK(names_key("a*b*c", "axxbxbc"));
    CHECK(!names_key("a*b*c", "axxbxbcd"));
    CHECK(names_key("**", ""));
  }

  TEST_CASE("an opaque source: everything goes to everybody") {
    const auto dialect = Dialect::opaque();
    Scratch scratch;
    const SourceAct act = dialect->read_source("\x01 bytes", "", scratch);
    CHECK(act.what == SourceDo::data);
    CHECK(act.slice == Span{0, 7});
    CHECK(dialect->read_client("{}", scratch).what == ClientDo::unknown);
    CHECK(dialect->unknown_of_client() == Unknown::drop);
  }

  TEST_CASE("a stable subscription id is of its channel alone") {
    CHECK(Dialect::stable_sub_id("[\"newHeads\"]") == Dialect::stable_sub_id("[\"newHeads\"]"));
    CHECK(Dialect::stable_sub_id("a") != Dialect::stable_sub_id("b"));
    CHECK(Dialect::stable_sub_id("").size() == 34);
  }
}

}  // namespace
}  // namespace holdfast::dialect::test
