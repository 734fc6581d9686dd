// What strangers send: names of channels, ids, limits, and what is no JSON at all.
#include <algorithm>

#include "unit/dialect/shipped.hpp"

namespace holdfast::dialect::test {
namespace {

// One rule for each way to name channels.
constexpr const char* names = R"({
  "id": "/id", "limits": {"keys_per_message": 4, "key": 12, "message": 2000},
  "client": [
    {"has": "/one", "do": "subscribe", "keys": "/one"},
    {"has": "/lower", "do": "subscribe", "keys": "{/lower:lower}"},
    {"has": "/cross", "do": "subscribe", "keys": "{/cross/*}|{/with/*=x}"},
    {"has": "/nested", "do": "subscribe", "keys": "{/nested/*/a}|{/nested/*/b/*}"},
    {"has": "/json", "do": "subscribe", "keys": "{/json:json}"},
    {"has": "/lane", "do": "subscribe", "keys": "{/lane/*}", "lane": "{/depth=10}"},
    {"has": "/gone", "do": "unsubscribe", "prefixes": "{/gone}|"},
    {"has": "/text", "do": "publish", "key": "/room", "forward": "/text", "via": "local", "echo": false}
  ],
  "source": []})";

// "do: key, key" or "fault: message".
std::string read(const Dialect& dialect, const std::string& message) {
  Scratch scratch;
  const ClientAct act = dialect.read_client(message, scratch);
  if (act.fault != Fault::none) return std::string(text(act.fault)) + ": " + std::string(act.message);
  std::string out = std::string(text(act.what)) + ":";
  for (const ChannelKey& key : act.keys) out += " " + std::string(key.text);
  return out;
}

TEST_SUITE("messages of clients") {
  TEST_CASE("names of channels") {
    const auto dialect = made(names);
    const struct {
      const char* message;
      const char* result;
    } table[] = {
        {R"({"one":"a"})", "subscribe: a"},
        {R"({"one":17})", "subscribe: 17"},
        {R"({"one":1.50})", "subscribe: 1.50"},
        {R"({"one":true})", "subscribe: true"},
        {R"({"one":"\u0061\u00e9"})", "subscribe: a\xc3\xa9"},
        {R"({"lower":"ABC"})", "subscribe: abc"},
        {R"({"cross":["a","b"],"with":["c","d"]})", "subscribe: a|c a|d b|c b|d"},
        {R"({"cross":["a","a"]})", "subscribe: a|x"},
        {R"({"nested":[{"a":"p","b":["1","2"]},{"a":"q","b":["3"]},{"b":["4"]},{"a":"r"}]})",
         "subscribe: p|1 p|2 q|3"},
        {R"({"json":{"b":[1, 2.0], "a":"\u0041\/"}})", "subscribe: {\"a\":\"A/\",\"b\":[1,2.0]}"},
        {R"({"lane":["a","b"],"depth":5})", "subscribe: a|5 b|5"},
        {R"({"lane":["a"]})", "subscribe: a|10"},
        {R"({"gone":"a"})", "unsubscribe: a|"},
    };
    for (const auto& [message, result] : table) {
      CAPTURE(message);
      // A name within the limit is short here; the JSON one needs more.
      const auto roomy =
          made(std::string(names).replace(std::string(names).find("\"key\": 12"), 9, "\"key\": 99"));
      CHECK_EQ(read(*roomy, message), result);
    }
    CHECK(read(*dialect, R"({"one":"123456789012"})") == "subscribe: 123456789012");
  }

  TEST_CASE("names that none may have") {
    const auto dialect = made(names);
    const std::string bad =
        "bad_key: /one must be a channel's name: text or number, at most 12 bytes, without control "
        "characters and "
        "\"|\"";
    for (const char* value : {"\"\"", "null", "[]", "{}", "\"a|b\"", "\"a\\u0000b\"", "\"a\\nb\"",
                              "\"\\u007f\"", "\"1234567890123\""}) {
      CAPTURE(value);
      CHECK_EQ(read(*dialect, std::string("{\"one\":") + value + "}"), bad);
    }
    CHECK(read(*dialect, R"({"lane":["1234567890"],"depth":10})") ==
          "bad_key: a channel's name must have 1 to 12 bytes");
    CHECK(read(*dialect, R"({"json":{"a":1,"a":2}})").starts_with("bad_key: /json must be"));
  }

  TEST_CASE("more channels than a message may name, and combinations that come to nothing") {
    const auto dialect = made(names);
    const std::string many = "too_many_keys: a message must not name more than 4 channels";
    CHECK(read(*dialect, R"({"cross":["a","b"],"with":["c","d"]})") == "subscribe: a|c a|d b|c b|d");
    CHECK(read(*dialect, R"({"cross":["a","b","e"],"with":["c","d"]})") == many);
    std::string endless = "{\"nested\":[";
    for (int i = 0; i < 50; ++i) endless += "{\"a\":1},";
    endless.back() = ']';
    CHECK(read(*dialect, endless + "}") == many);
  }

  TEST_CASE("what is published") {
    const auto dialect = made(names);
    Scratch scratch;
    const std::string message = R"({"room":"r", "text" : {"a": [1]} })";
    const ClientAct act = dialect->read_client(message, scratch);
    CHECK(act.what == ClientDo::publish);
    CHECK(act.forward.of(message) == "{\"a\": [1]}");
    CHECK(act.echo == Echo::no);
    CHECK(read(*dialect, R"({"text":"x"})") == "bad_value: /room must name at least one channel");
  }

  TEST_CASE("what is no JSON ends in a fault") {
    const auto dialect = made(names);
    const std::string none = "not_json: the message must be JSON with each name once";
    const std::string deep(70, '[');
    const std::string deep_end(70, ']');
    for (const std::string& message : std::vector<std::string>{"",
                                                               " ",
                                                               "{",
                                                               "}",
                                                               "{\"one\"}",
                                                               "{\"one\":}",
                                                               "{\"one\":\"a\"",
                                                               "{\"one\":\"a\"}}",
                                                               "{\"one\":\"a\"}x",
                                                               "{\"one\":\"a\",}",
                                                               "{one:1}",
                                                               "{'one':1}",
                                                               "{\"one\":tru}",
                                                               "{\"one\":nul}",
                                                               "{\"one\":01}",
                                                               "{\"one\":1.}",
                                                               "{\"one\":.5}",
                                                               "{\"one\":1e}",
                                                               "{\"one\":+1}",
                                                               "{\"one\":-}",
                                                               "{\"one\":0x1}",
                                                               "{\"one\":1 2}",
                                                               "{\"one\":\"\\x\"}",
                                                               "{\"one\":\"\\ud800\"}",
                                                               "{\"one\":\"\xff\"}",
                                                               "{\"one\":\"a\nb\"}",
                                                               "{\"one\":NaN}",
                                                               "\xef\xbb\xbf{\"one\":1}",
                                                               "{\"one\":\"a\",\"one\":\"b\"}",
                                                               "{\"One\":\"a\"}",
                                                               "{\"one\":1e999}",
                                                               "{\"one\":[\"a\",\"b\":1]}",
                                                               "{\"other\":[1,2}",
                                                               "{\"other\":{\"a\":tru}}",
                                                               "{\"other\":[\"\\q\"]}",
                                                               "{\"other\":" + deep + deep_end + "}",
                                                               std::string("{\"one\":\"a\"}\0", 12)}) {
      CAPTURE(message);
      CHECK_EQ(read(*dialect, message), none);
    }
    for (const char* message : {"7", "\"x\"", "null", "[]", "[{\"one\":1}]", "{}", "{\"two\":1}"}) {
      CAPTURE(message);
      CHECK(read(*dialect, message).starts_with("unknown_message: "));
    }
    CHECK(read(*dialect, "{\"one\":\"" + std::string(2000, 'x') + "\"}") ==
          "too_large: the message must not be longer than 2000 bytes");
  }

  TEST_CASE("names that only look alike are refused: other libraries take them for ours") {
    const auto dialect = made(R"({"id":"/id","client":[{"has":"/task","do":"list"}],"source":[]})");
    CHECK(read(*dialect, R"({"task":1})") == "list:");
    CHECK(read(*dialect, R"({"\u0074ask":1})") == "list:");
    for (const char* name : {"TASK", "Task", "ta\xc5\xbfk", "tas\xe2\x84\xaa", "ID", "iD"}) {
      CAPTURE(name);
      CHECK(read(*dialect, std::string("{\"task\":1,\"") + name + "\":2}").starts_with("not_json: "));
    }
  }

  TEST_CASE("ids come back as they were sent") {
    const auto dialect =
        made(R"({"id":"/id","client":[{"has":"/a","do":"list","reply":{"id":"$id","all":"$all"}}],
                                  "replies":{"error":{"e":"$message","id":"$id"}},"source":[]})");
    Scratch scratch;
    const std::string longest = "\"" + std::string(126, 'i') + "\"";
    for (const std::string& id : std::vector<std::string>{"1", "-1", "1.0", "1e3", "99999999999999999999999",
                                                          "null", "\"\"", "\"\\u0041\\\"\"", longest}) {
      const std::string message = "{\"a\":1,\"id\": " + id + " }";
      const ClientAct act = dialect->read_client(message, scratch);
      CHECK_EQ(act.id.of(message), id);
      ReplyValues values;
      values.id = act.id.of(message);
      CHECK(dialect->render_reply(act.rule, Reply::result, values) ==
            std::vector<std::string>{"{\"id\":" + id + ",\"all\":[]}"});
    }
    for (const std::string& id : std::vector<std::string>{"true", "[1]", "{}", "\"i" + longest.substr(1)}) {
      CAPTURE(id);
      CHECK(read(*dialect, "{\"a\":1,\"id\":" + id + "}") ==
            "bad_value: /id must be a number, a string or null");
    }
  }

  TEST_CASE("a request gets our number, its answer the asker's id") {
    const std::string message = "{ \"id\" : \"mine\" , \"method\":\"x\" }";
    Scratch scratch;
    const auto dialect = shipped("ethereum");
    const ClientAct act = dialect->read_client(message, scratch);
    REQUIRE(act.what == ClientDo::request);
    std::string asked;
    append_replaced(message, act.id, "7", asked);
    CHECK(asked == "{ \"id\" : 7 , \"method\":\"x\" }");
    const std::string answer = "{\"jsonrpc\":\"2.0\",\"id\": 7 ,\"result\":{\"id\":7}}";
    const SourceAct read = dialect->read_source(answer, "", scratch);
    REQUIRE(read.number == 7);
    std::string told;
    append_replaced(answer, read.number_span, "\"mine\"", told);
    CHECK(told == "{\"jsonrpc\":\"2.0\",\"id\": \"mine\" ,\"result\":{\"id\":7}}");
  }

  TEST_CASE("names in the request target") {
    const auto dialect = shipped("binance");
    CHECK(dialect->read_entry("/stream", "streams=a/a/b")->keys == std::vector<std::string>{"a", "b"});
    CHECK(dialect->read_entry("/ws/", "")->keys.empty());
    CHECK(dialect->read_entry("/wsx/a", "")->keys.empty());
    for (const char* query :
         {"streams=a%", "streams=a%2", "streams=a%zz", "streams=a%00", "streams=%ff", "streams=a//b"}) {
      CAPTURE(query);
      CHECK(!dialect->read_entry("/stream", query).has_value());
    }
    CHECK(!dialect->read_entry("/stream", "streams=" + std::string(65, 'x')).has_value());
    std::string many = "streams=";
    for (int i = 0; i <= 1024; ++i) many += std::to_string(i) + "/";
    CHECK(!dialect->read_entry("/stream", many).has_value());
  }
}

}  // namespace
}  // namespace holdfast::dialect::test
