// What the loader says about files that are wrong.
#include "unit/dialect/shipped.hpp"

namespace holdfast::dialect::test {
namespace {

std::string problems(const std::string& file_text) {
  return text(Dialect::load(file_text, "d.json").problems);
}

// With the two lists that each file must have.
std::string with(const std::string& more) {
  return problems(R"({"client":[],"source":[],)" + more + "}");
}
std::string client(const std::string& rule) {
  return problems(R"({"id":"/id","client":[)" + rule + R"(],"source":[]})");
}
std::string source(const std::string& rule) {
  return problems(R"({"client":[],"source":[)" + rule + "]}");
}

TEST_SUITE("dialect files") {
  TEST_CASE("the least that loads") {
    CHECK(problems(R"({"client":[],"source":[]})").empty());
    CHECK(problems("// a comment\n{\"client\":[] /* and */,\"source\":[]}").empty());
  }

  TEST_CASE("the example of conf/dialects/README.md does what it says") {
    const std::string page = source_file("conf/dialects/README.md");
    const std::size_t begin = page.find("```jsonc\n", page.find("## A dialect of your own")) + 9;
    const auto dialect = made(page.substr(begin, page.find("```", begin) - begin));
    Scratch scratch;
    const std::string message = R"({"op":"watch","sensors":["t1","t2"],"ref":5})";
    const ClientAct act = dialect->read_client(message, scratch);
    CHECK(act.what == ClientDo::subscribe);
    const std::vector<std::string> keys{"t1", "t2"};
    ReplyValues values;
    values.id = act.id.of(message);
    values.keys = keys;
    CHECK(dialect->render_reply(act.rule, Reply::result, values) ==
          std::vector<std::string>{R"({"op":"watching","sensors":["t1","t2"],"ref":5})"});
    const std::vector<CommandKey> asked{{"t1", ""}, {"t2", ""}};
    CHECK(dialect->render_commands(CommandKind::subscribe, asked, 1)[0].text ==
          R"({"cmd":"add","ids":["t1","t2"]})");
    const SourceAct data = dialect->read_source(R"({"id":"t1","at":17,"value":20.5})", "", scratch);
    CHECK(data.what == SourceDo::data);
    CHECK(data.key.text == "t1");
    CHECK(data.last == 17);
    CHECK(dialect->read_source(R"({"id":"t1"})", "", scratch).what == SourceDo::unknown);
  }

  TEST_CASE("what is no dialect") {
    CHECK(problems("").starts_with("d.json: line 1, column 1 "));
    CHECK(problems("{\"client\":[],\n\"source\":}").starts_with("d.json: line 2, column 10 "));
    CHECK(problems("[]") == "d.json must hold a JSON object\n");
    CHECK(problems("{}") == "d.json: client is missing\nd.json: source is missing\n");
    CHECK(problems(R"({"client":[],"client":[],"source":[]})") ==
          "d.json: client is given twice in one object\n");
    CHECK(with(R"("limit":{})") == "d.json: limit is not a known key, did you mean \"limits\"?\n");
  }

  TEST_CASE("all errors are told at once") {
    CHECK(problems(
              R"({"client":[{"do":"jump"}],"source":[{"do":"data"}],"separator":"ab","limits":{"key":0}})") ==
          "d.json: client[0].do is \"jump\", must be one of \"subscribe\", \"unsubscribe\", \"list\", "
          "\"request\", \"publish\", \"set\", \"ping\", \"reject\"\n"
          "d.json: limits.key is 0, must be an integer from 1 to 16384\n"
          "d.json: separator is \"ab\", must have 1 to 1 bytes\n"
          "d.json: source[0].key is missing: say which channel, or \"subid\"\n");
  }

  TEST_CASE("rules of clients") {
    const struct {
      const char* rule;
      const char* problem;
    } table[] = {
        {R"({})", "client[0].do is missing"},
        {R"(7)", "client[0] is 7, must be an object"},
        {R"({"do":"subscrbe"})",
         "client[0].do is \"subscrbe\", must be one of \"subscribe\", \"unsubscribe\", \"list\", "
         "\"request\", "
         "\"publish\", \"set\", \"ping\", \"reject\", did you mean \"subscribe\"?"},
        {R"({"do":"subscribe"})", "client[0].keys is missing: say which channels"},
        {R"({"do":"subscribe","keys":"params"})", ""},
        {R"({"do":"subscribe","keys":"{params}"})",
         "client[0].keys is \"{params}\", must be a JSON pointer, or text with pointers in braces such as "
         "\"book|{/params/symbol/*}\", \"{/params/depth=10}\" (if absent), \"{/params:json}\" or "
         "\"{/symbol:lower}\""},
        {R"({"do":"subscribe","keys":"{/a"})",
         "client[0].keys is \"{/a\", must be a JSON pointer, or text with pointers in braces such as "
         "\"book|{/params/symbol/*}\", \"{/params/depth=10}\" (if absent), \"{/params:json}\" or "
         "\"{/symbol:lower}\""},
        {R"({"do":"subscribe","keys":"/a~2"})",
         "client[0].keys is \"/a~2\", must be a JSON pointer: each part behind a \"/\", \"~1\" for a \"/\" "
         "and "
         "\"~0\" for a \"~\" in a name, \"*\" for each element (twice at most), at most 16 parts"},
        {R"({"do":"subscribe","keys":"/*/*/*"})",
         "client[0].keys is \"/*/*/*\", must be a JSON pointer: each part behind a \"/\", \"~1\" for a \"/\" "
         "and \"~0\" for a \"~\" in a name, \"*\" for each element (twice at most), at most 16 parts"},
        {R"({"do":"subscribe","keys":"/a","lane":"/b/*"})",
         "client[0].lane is \"/b/*\", must name one channel, without \"*\""},
        {R"({"do":"subscribe","keys":"/a","replay":{}})",
         "client[0].replay is not a known key, did you mean \"reply\"?"},
        {R"({"do":"subscribe","keys":"/a","reply":{"id":["$ib"]}})",
         "client[0].reply.id[0] is \"$ib\", must be one of $id $key $keys $all $subid $code $message $count "
         "$time $1 "
         "… $9 $group(keys) $group(all) (\"$$\" for a dollar sign)"},
        {R"({"do":"subscribe","keys":"/a","reply":"all: $keys"})",
         "client[0].reply is \"all: $keys\", must have a list alone in its string"},
        {R"_({"do":"subscribe","keys":"/a","reply":"$group(all)"})_",
         "client[0].reply has \"$group(…)\", needs the file's \"group\""},
        {R"({"do":"subscribe","keys":"/a","reply":"$key:json"})",
         "client[0].reply has \":json\", needs that the name of every channel is one \"{/pointer:json}\""},
        {R"({"do":"unsubscribe"})",
         "client[0].keys must be one of \"keys\", \"prefixes\" and \"subid\", are 0"},
        {R"({"do":"unsubscribe","keys":"/a","subid":"/b"})",
         "client[0].keys must be one of \"keys\", \"prefixes\" and \"subid\", are 2"},
        {R"({"do":"unsubscribe","subid":"/b/*"})",
         "client[0].subid is \"/b/*\", must name one value, without \"*\""},
        {R"({"do":"publish"})", "client[0].key is missing: say which channel"},
        {R"({"do":"publish","key":"/a","via":"lokal"})",
         "client[0].via is \"lokal\", must be one of \"local\", \"upstream\", did you mean \"local\"?"},
        {R"({"do":"request","share":["x"]})",
         "client[0].method is missing: \"share\", \"retry\" and \"refuse\" go by it"},
        {R"({"do":"set"})", "client[0].form is missing: say which"},
        {R"({"do":"list","if":{"/a":{}}})",
         "client[0].if./a is {}, must be a string, an integer, true, false or null, or a list of those"},
        {R"({"do":"list","if":["/a"]})",
         "client[0].if is a list of 1, must be an object of pointers and values"},
        {R"({"do":"list","if":{"a":1}})",
         "client[0].if is \"a\", must be a JSON pointer: each part behind a \"/\", \"~1\" for a \"/\" and "
         "\"~0\" for "
         "a \"~\" in a name, \"*\" for each element (twice at most), at most 16 parts"},
        {R"({"do":"list","has":7})", "client[0].has is 7, must be a string or a list of 1 to 1000 strings"},
        {R"({"do":"ping"},{"do":"list","has":"/a"})",
         "client[1] is never reached: the rule before it takes every message"},
        {R"({"do":"list","has":["/a/*","/a/0/b"]})",
         "client has the pointer \"/a/0/b\", must not look behind a number where another pointer has \"*\""},
    };
    for (const auto& [rule, problem] : table) {
      CAPTURE(rule);
      CHECK_EQ(client(rule), problem[0] == '\0' ? "" : "d.json: " + std::string(problem) + "\n");
    }
    CHECK(problems(R"({"client":[{"do":"request"}],"source":[]})") ==
          "d.json: client[0].do is \"request\", needs the file's \"id\": answers are told apart by it\n");
  }

  TEST_CASE("rules of the source") {
    CHECK(source(R"({"do":"data"})") ==
          "d.json: source[0].key is missing: say which channel, or \"subid\"\n");
    CHECK(source(R"({"do":"data","key":"/a/*"})") ==
          "d.json: source[0].key is \"/a/*\", must name one channel, without \"*\"\n");
    CHECK(source(R"({"do":"response"})") == "d.json: source[0].id is missing: say where our number is\n");
    CHECK(source(R"({"do":"data","key":"/a","sequence":{"fist":"/b"}})") ==
          "d.json: source[0].sequence.fist is not a known key, did you mean \"first\"?\n");
    CHECK(source(R"({"do":"notice","then":"go"})") ==
          "d.json: source[0].then is \"go\", must be one of \"rotate\", \"close\"\n");
    CHECK(source(R"({"do":"ignore","id":"/id"})") ==
          "d.json: source[0].id is not a known key, did you mean \"if\"?\n");
  }

  TEST_CASE("the rest of a file") {
    const struct {
      const char* more;
      const char* problem;
    } table[] = {
        {R"("id":"/a/*")", "id is \"/a/*\", must name one value, without \"*\""},
        {R"("limits":{"message":63})", "limits.message is 63, must be an integer from 64 to 1048576"},
        {R"("limits":{"source":{"messages_per_second":-1}})",
         "limits.source.messages_per_second is -1, must be an integer from 0 to 100000"},
        {R"("codes":{"no_json":1})", "codes.no_json is not a known key, did you mean \"not_json\"?"},
        {R"("codes":{"other":[]})", "codes.other is [], must be an integer or a string"},
        {R"("commands":{"subscribe":{}})", "commands.subscribe.message is missing"},
        {R"("commands":{"subscribe":[{"message":"$id"}]})",
         "commands.subscribe[0].message is \"$id\", must be one of $key $keys $subid $n $1 … $9 $1[] … $9[] "
         "$group(keys) (\"$$\" for a dollar sign)"},
        {R"("commands":{"ping":"$key"})",
         "commands.ping is \"$key\", must be one of $n (\"$$\" for a dollar sign)"},
        {R"("unknown":{"source":"reject"})",
         "unknown.source is \"reject\", must be one of \"drop\", \"forward\""},
        {R"("entry":[{"segment":"a/b"}])",
         "entry[0].segment is \"a/b\", must be one part of a path, without \"/\""},
        {R"("entry":[{}])", "entry[0].segment is missing: say which part of the path"},
        {R"("channels":[{"join":"last"}])",
         "channels[0].join is \"last\", must be \"none\", \"snapshot\" or {\"last\": 1 to 100000}"},
        {R"("channels":[{"join":{"last":0}}])",
         "channels[0].join.last is 0, must be an integer from 1 to 100000"},
        {R"("channels":[{"on_lag":"drop"}])",
         "channels[0].on_lag is \"drop\", must be one of \"conflate\", \"skip_to_snapshot\", "
         "\"drop_oldest\", "
         "\"disconnect\""},
        {R"("channels":{})", "channels is {}, must be a list of up to 100"},
        {R"("separator":" ")", "separator is \" \", must be a visible ASCII character other than braces"},
    };
    for (const auto& [more, problem] : table) {
      CAPTURE(more);
      CHECK_EQ(with(more), "d.json: " + std::string(problem) + "\n");
    }
  }

  TEST_CASE("a feed names one that is shipped, or a file of its own") {
    config::Feed feed;
    CHECK(Dialect::of(feed).dialect->is_opaque());
    for (const char* name : {"binance", "coinbase", "ethereum", "kraken", "rooms"}) {
      feed.dialect = name;
      CHECK_MESSAGE(Dialect::of(feed).dialect != nullptr, name, text(Dialect::of(feed).problems));
    }
    feed.dialect = "./mine.json";
    feed.dialect_text = R"({"client":[],"source":[]})";
    CHECK(Dialect::of(feed).dialect != nullptr);
    feed.dialect_text = "{";
    CHECK(Dialect::of(feed).problems.front().place == "./mine.json: line 1, column 1");
    feed.dialect = "binanze";
    CHECK(text(Dialect::of(feed).problems) ==
          " is \"binanze\", must be one of \"opaque\", \"binance\", \"coinbase\", \"ethereum\", \"kraken\", "
          "\"rooms\", or the path of a file, with a \"/\" in it\n");
  }
}

}  // namespace
}  // namespace holdfast::dialect::test
