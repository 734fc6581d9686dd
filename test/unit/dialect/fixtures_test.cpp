// Replays test/unit/dialect/fixtures/*.json against the shipped dialects: what each message means, and the
// bytes that are made of it. A message is a string (its bytes) or JSON (written without white space).
#include <nlohmann/json.hpp>
#include <set>

#include "unit/dialect/shipped.hpp"

namespace holdfast::dialect::test {
namespace {

using Json = nlohmann::ordered_json;

std::string bytes_of(const Json& message) {
  return message.is_string() ? message.get<std::string>() : message.dump();
}

std::vector<std::string> all_bytes(const Json& messages) {
  std::vector<std::string> out;
  for (const Json& each : messages) out.push_back(bytes_of(each));
  return out;
}

std::vector<std::string> strings(const Json& from, const char* key) {
  return from.contains(key) ? from[key].get<std::vector<std::string>>() : std::vector<std::string>{};
}

// What an act says beyond its defaults, in the words of the fixtures.
Json told(const ClientAct& act, const std::string& message) {
  Json out{{"do", text(act.what)}};
  if (!act.keys.empty()) {
    for (const ChannelKey& key : act.keys) out["keys"].push_back(key.text);
    if (!act.keys[0].lane.empty()) out["lane"] = act.keys[0].lane;
  }
  if (act.keys_are == KeysAre::prefixes) out["prefixes"] = true;
  if (!act.id.empty()) out["id"] = act.id.of(message);
  if (!act.sub_id.empty()) out["subid"] = act.sub_id;
  if (!act.method.empty()) out["method"] = act.method;
  if (act.shared) out["shared"] = act.question;
  if (act.retryable) out["retryable"] = true;
  if (act.what == ClientDo::publish) {
    out["via"] = act.via == Via::local ? "local" : "upstream";
    out["forward"] = act.forward.of(message);
  }
  if (act.what == ClientDo::set) out["form"] = act.form == Form::whole ? "whole" : "slice";
  if (act.fault != Fault::none) out["fault"] = text(act.fault);
  if (!act.message.empty()) out["message"] = act.message;
  return out;
}

Json told(const SourceAct& act, const std::string& message) {
  Json out{{"do", text(act.what)}};
  if (!act.key.text.empty()) out["key"] = act.key.text;
  if (!act.key.lane.empty()) out["lane"] = act.key.lane;
  if (!act.sub_id.empty()) out["subid"] = act.sub_id;
  if (act.number) out["number"] = *act.number;
  if (act.first) out["first"] = *act.first;
  if (act.last) out["last"] = *act.last;
  if (act.slice.length != message.size()) out["slice"] = act.slice.of(message);
  if (!act.message.empty()) out["message"] = act.message;
  if (!act.code.empty()) out["code"] = act.code;
  if (act.what == SourceDo::notice) out["then"] = act.notice == Notice::rotate ? "rotate" : "close";
  return out;
}

class Replay {
 public:
  explicit Replay(const std::string& name) : dialect_(shipped(name)) {}

  void run(const Json& one) {
    if (one.contains("client")) return client(one);
    if (one.contains("source")) return source(one);
    if (one.contains("commands")) return commands(one);
    if (one.contains("path")) return entry(one);
    if (one.contains("ping")) return ping(one);
    if (one.contains("channel")) return channel(one);
    FAIL("a fixture of no known kind: ", one.dump());
  }

  std::set<RuleIndex> client_rules;
  std::set<RuleIndex> source_rules;

 private:
  void client(const Json& one) {
    const std::string message = bytes_of(one["client"]);
    const ClientAct act = dialect_->read_client(message, scratch_);
    if (act.rule != no_rule) client_rules.insert(act.rule);
    CHECK_EQ(told(act, message).dump(), one["act"].dump());
    if (one.contains("reply")) reply(one, act, message, Reply::result, "reply");
    if (one.contains("error")) reply(one, act, message, Reply::error, "error");
  }

  void reply(const Json& one, const ClientAct& act, const std::string& message, Reply kind, const char* key) {
    std::vector<std::string> keys;
    for (const ChannelKey& each : act.keys) keys.emplace_back(each.text);
    const std::vector<std::string> all = strings(one, "all");
    const std::string sub_id = one.value("told_subid", "");
    ReplyValues values;
    values.id = act.id.of(message);
    values.keys = keys;
    values.all = all;
    values.sub_id = sub_id;
    values.fault = act.fault;
    values.message = act.message;
    values.unix_us = 1'700'000'000'123'456;
    const std::vector<std::string> made = dialect_->render_reply(act.rule, kind, values);
    CHECK_EQ(Json(made).dump(), Json(all_bytes(one[key])).dump());
    for (const std::string& each : made) CHECK(Json::accept(each));
  }

  void source(const Json& one) {
    const std::string message = bytes_of(one["source"]);
    const std::string lane = one.value("on_lane", "");
    const SourceAct act = dialect_->read_source(message, lane, scratch_);
    if (act.rule != no_rule) source_rules.insert(act.rule);
    CHECK_EQ(told(act, message).dump(), one["act"].dump());
    CHECK_EQ(act.digest.has_value(), one.value("digest", false));
    for (const auto& [key, form] : {std::pair{"whole", Form::whole}, std::pair{"slice", Form::slice}}) {
      if (!one.contains(key)) continue;
      std::string out;
      Dialect::append_forwarded(message, act, form, one.value("channel_subid", ""), out);
      CHECK_EQ(out, bytes_of(one[key]));
    }
  }

  void commands(const Json& one) {
    const std::vector<std::string> keys = strings(one, "keys");
    const std::vector<std::string> sub_ids = strings(one, "subids");
    std::vector<CommandKey> given;
    for (std::size_t i = 0; i < keys.size(); ++i)
      given.push_back({keys[i], i < sub_ids.size() ? std::string_view(sub_ids[i]) : std::string_view{}});
    const auto kind = one["kind"] == "subscribe" ? CommandKind::subscribe : CommandKind::unsubscribe;
    std::vector<std::string> made;
    for (const Command& each : dialect_->render_commands(kind, given, one.value("number", 1U)))
      made.push_back(each.text);
    CHECK_EQ(Json(made).dump(), Json(all_bytes(one["commands"])).dump());
  }

  void entry(const Json& one) const {
    const auto entry = dialect_->read_entry(one["path"].get<std::string>(), one.value("query", ""));
    REQUIRE(entry.has_value());
    CHECK_EQ(entry->form == Form::whole ? "whole" : "slice", one["form"].get<std::string>());
    CHECK(entry->keys == strings(one, "keys"));
  }

  void ping(const Json& one) const { CHECK_EQ(dialect_->render_ping(one["number"]), bytes_of(one["ping"])); }

  void channel(const Json& one) const {
    const std::string key = one["channel"];
    const ChannelSettings& settings = dialect_->settings_for(key);
    if (one.contains("join")) {
      REQUIRE(settings.join.has_value());
      constexpr std::array<const char*, 3> words{"none", "snapshot", "last"};
      CHECK_EQ(words[static_cast<std::size_t>(settings.join->kind)], one["join"].get<std::string>());
      CHECK_EQ(settings.join->last, one.value("last", 0U));
    }
    if (one.contains("on_lag")) {
      REQUIRE(settings.on_lag.has_value());
      constexpr std::array<const char*, 4> words{"conflate", "skip_to_snapshot", "drop_oldest", "disconnect"};
      CHECK_EQ(words[static_cast<std::size_t>(*settings.on_lag)], one["on_lag"].get<std::string>());
    }
    for (const auto& [name, kind] : {std::pair{"gap", Reply::gap}, std::pair{"presence", Reply::presence}}) {
      if (!one.contains(name)) continue;
      ReplyValues values;
      values.key = key;
      values.count = one["count"];
      CHECK_EQ(dialect_->render_reply(no_rule, kind, values), std::vector{bytes_of(one[name])});
    }
  }

  std::shared_ptr<const Dialect> dialect_;
  Scratch scratch_;
};

void replay(const std::string& name) {
  const Json cases = Json::parse(source_file("test/unit/dialect/fixtures/" + name + ".json"));
  Replay run(name);
  for (const Json& one : cases) {
    CAPTURE(one.dump());
    run.run(one);
  }
  // Each rule of the file is there for something that a fixture shows.
  const Json file = Json::parse(source_file("conf/dialects/" + name + ".json"), nullptr, true, true);
  CHECK_EQ(run.client_rules.size(), file["client"].size());
  CHECK_EQ(run.source_rules.size(), file["source"].size());
}

TEST_SUITE("dialects that are shipped") {
  TEST_CASE("binance: fixtures") {
    replay("binance");
  }
  TEST_CASE("coinbase: fixtures") {
    replay("coinbase");
  }
  TEST_CASE("kraken: fixtures") {
    replay("kraken");
  }
  TEST_CASE("ethereum: fixtures") {
    replay("ethereum");
  }
  TEST_CASE("rooms: fixtures") {
    replay("rooms");
  }
}

}  // namespace
}  // namespace holdfast::dialect::test
