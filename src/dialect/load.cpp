// From the text of a dialect file to a Dialect, or to all that is wrong with it.
#include <algorithm>
#include <utility>

#include "config/parse.hpp"
#include "dialect/load_rules.hpp"
#include "dialect/object_reader.hpp"
#include "dialect/text.hpp"
#include "dialect/words.hpp"

namespace holdfast::dialect {
namespace {

using config::Problems;

void read_limits(const Tree& tree, Problems& problems, Limits& out) {
  ObjectReader object(tree, "limits", problems);
  object.number("message", out.message_bytes, std::uint64_t{64}, std::uint64_t{1} << 20U);
  object.number("keys_per_message", out.keys_per_message, 1, 10'000);
  object.number("key", out.key_bytes, 1, 16'384);
  object.number("keys_per_client", out.keys_per_client, 1, 100'000);
  object.number("requests_in_flight", out.requests_in_flight, 1, 10'000);
  if (const Tree* const source = object.find("source")) {
    ObjectReader inner(*source, "limits.source", problems);
    inner.number("keys_per_connection", out.keys_per_connection, 0, 1'000'000);
    inner.number("messages_per_second", out.messages_per_second, 0, 100'000);
    inner.number("connects_per_5min", out.connects_per_5min, 0, 100'000);
    inner.finish();
  }
  object.finish();
}

// A code for each fault; "other" for those that are not there.
void read_codes(const Tree& tree, Problems& problems, Rules& rules) {
  ObjectReader object(tree, "codes", problems);
  const auto read = [&](const char* word, std::string& out) {
    const Tree* const found = object.find(word);
    if (found == nullptr) return;
    if (found->is_number_integer() || found->is_string()) {
      out = found->dump();
    } else {
      object.wrong(word, shown(*found), "must be an integer or a string");
    }
  };
  std::string other;
  read("other", other);
  for (std::size_t i = 1; i < fault_count; ++i) {
    read(fault_words[i].data(), rules.codes[i]);
    if (rules.codes[i].empty()) rules.codes[i] = other;
  }
  object.finish();
}

std::optional<Template> read_template(ObjectReader& object, const char* key, Use use) {
  const Tree* const found = object.find(key);
  if (found == nullptr) return std::nullopt;
  return Template::compile(*found, use, object.place(key), object.problems());
}

void read_replies(const Tree& tree, Problems& problems, Rules& rules) {
  ObjectReader object(tree, "replies", problems);
  rules.error = read_template(object, "error", Use::reply);
  rules.gap = read_template(object, "gap", Use::reply);
  rules.presence = read_template(object, "presence", Use::reply);
  object.finish();
}

CommandRule read_command(const Tree& tree, const std::string& place, Problems& problems) {
  ObjectReader object(tree, place, problems);
  CommandRule rule;
  object.text("match", rule.match, 200);
  if (const Tree* const message = object.required("message"))
    rule.message = Template::compile(*message, Use::command, object.place("message"), problems);
  rule.single_parts = rule.message.single_parts();
  rule.one_key = rule.message.uses(Name::key) || rule.message.uses(Name::sub_id);
  std::uint64_t most = rule.max_keys;
  object.number("max_keys", most, std::uint64_t{1}, std::uint64_t{10'000});
  rule.max_keys = most;
  std::uint64_t bytes = rule.max_bytes;
  object.number("max_bytes", bytes, std::uint64_t{64}, std::uint64_t{1} << 20U);
  rule.max_bytes = bytes;
  object.finish();
  return rule;
}

// One, or a list for several kinds of channels.
std::vector<CommandRule> read_command_rules(ObjectReader& commands, const char* key) {
  std::vector<CommandRule> out;
  const Tree* const found = commands.find(key);
  if (found == nullptr) return out;
  if (!found->is_array()) {
    out.push_back(read_command(*found, commands.place(key), commands.problems()));
    return out;
  }
  for (std::size_t i = 0; i < found->size(); ++i) {
    const std::string place = commands.place(key) + "[" + std::to_string(i) + "]";
    out.push_back(read_command((*found)[i], place, commands.problems()));
  }
  return out;
}

void read_commands(const Tree& tree, Problems& problems, Rules& rules) {
  ObjectReader object(tree, "commands", problems);
  rules.subscribe = read_command_rules(object, "subscribe");
  rules.unsubscribe = read_command_rules(object, "unsubscribe");
  rules.ping = read_template(object, "ping", Use::ping);
  object.finish();
}

void read_unknown(const Tree& tree, Problems& problems, Rules& rules) {
  ObjectReader object(tree, "unknown", problems);
  object.choice("client", rules.unknown_client, unknown_words);
  // The source is told nothing.
  constexpr std::array<std::string_view, 2> for_source{"drop", "forward"};
  std::size_t source = 0;
  if (object.choice("source", source, for_source))
    rules.unknown_source = source == 0 ? Unknown::drop : Unknown::forward;
  object.finish();
}

template <class Read>
void each_object(const Tree& list, const std::string& place, Problems& problems, const Read& read) {
  constexpr std::size_t most = 100;
  if (!list.is_array() || list.size() > most)
    return problems.error(place, "is " + shown(list) + ", must be a list of up to " + std::to_string(most));
  for (std::size_t i = 0; i < list.size(); ++i) {
    ObjectReader object(list[i], place + "[" + std::to_string(i) + "]", problems);
    read(object);
    object.finish();
  }
}

void read_entry_rule(ObjectReader& object, Rules& rules) {
  EntryRule& rule = rules.entries.emplace_back();
  object.text("segment", rule.segment, 64);
  if (rule.segment.empty() && !object.problems().has(object.place("segment")))
    object.problems().error(object.place("segment"), "is missing: say which part of the path");
  if (rule.segment.find('/') != std::string::npos)
    object.wrong("segment", config::quote(rule.segment), "must be one part of a path, without \"/\"");
  object.choice("form", rule.form, form_words);
  object.flag("rest", rule.rest);
  object.text("query", rule.query, 64);
  std::string split(1, rule.split);
  object.text("split", split, 1);
  rule.split = split[0];
}

// {"last": 1}, "none" or "snapshot".
void read_join(ObjectReader& object, ChannelSettings& out) {
  const Tree* const found = object.find("join");
  if (found == nullptr) return;
  if (found->is_object()) {
    ObjectReader inner(*found, object.place("join"), object.problems());
    out.join = {config::JoinKind::last, 1};
    inner.number("last", out.join->last, 1, 100'000);
    return inner.finish();
  }
  if (*found == "none") {
    out.join = {config::JoinKind::none, 0};
  } else if (*found == "snapshot") {
    out.join = {config::JoinKind::snapshot, 0};
  } else {
    object.wrong("join", shown(*found), "must be \"none\", \"snapshot\" or {\"last\": 1 to 100000}");
  }
}

void read_channel(ObjectReader& object, Rules& rules) {
  ChannelRule& rule = rules.channels.emplace_back();
  rule.match = "*";
  object.text("match", rule.match, 200);
  read_join(object, rule.settings);
  std::size_t lag = 0;
  if (object.choice("on_lag", lag, lag_words)) rule.settings.on_lag = static_cast<config::OnLag>(lag);
}

void read_separator(ObjectReader& object, Rules& rules) {
  std::string text(1, rules.separator);
  object.text("separator", text, 1);
  if (text[0] <= ' ' || text[0] == 0x7f || text[0] == '{' || text[0] == '}')
    return object.wrong("separator", config::quote(text),
                        "must be a visible ASCII character other than braces");
  rules.separator = text[0];
}

// What only the whole file can tell.
void check_templates(const Rules& rules, Problems& problems) {
  std::vector<std::pair<std::string, const Template*>> all;
  const auto add = [&](const std::string& place, const std::optional<Template>& each) {
    if (each) all.emplace_back(place, &*each);
  };
  for (std::size_t i = 0; i < rules.client.size(); ++i) {
    add("client[" + std::to_string(i) + "].reply", rules.client[i].reply);
    add("client[" + std::to_string(i) + "].error", rules.client[i].error);
  }
  add("replies.error", rules.error);
  add("replies.gap", rules.gap);
  add("replies.presence", rules.presence);
  for (const CommandRule& each : rules.subscribe) all.emplace_back("commands.subscribe", &each.message);
  for (const CommandRule& each : rules.unsubscribe) all.emplace_back("commands.unsubscribe", &each.message);
  const bool keys_are_json =
      rules.entries.empty() && std::ranges::all_of(rules.client, [](const ClientRule& rule) {
        return !rule.lane && std::ranges::all_of(rule.keys, &KeyTemplate::is_one_json_value);
      });
  for (const auto& [place, each] : all) {
    if (each->uses(Name::group) && !rules.group)
      problems.error(place, "has \"$group(…)\", needs the file's \"group\"");
    if (each->takes_json() && !keys_are_json)
      problems.error(place, "has \":json\", needs that the name of every channel is one \"{/pointer:json}\"");
  }
}

void read_file(const Tree& tree, Problems& problems, Rules& rules) {
  ObjectReader object(tree, "", problems);
  static_cast<void>(object.find("$schema"));
  read_separator(object, rules);
  object.pointer("id", rules.client_tree, rules.client_id);
  if (const Tree* const limits = object.find("limits")) read_limits(*limits, problems, rules.limits);
  if (const Tree* const list = object.required("client")) load_client_rules(*list, "client", problems, rules);
  if (const Tree* const list = object.required("source")) load_source_rules(*list, "source", problems, rules);
  if (const Tree* const replies = object.find("replies")) read_replies(*replies, problems, rules);
  rules.group = read_template(object, "group", Use::group);
  if (const Tree* const codes = object.find("codes")) read_codes(*codes, problems, rules);
  if (const Tree* const commands = object.find("commands")) read_commands(*commands, problems, rules);
  if (const Tree* const unknown = object.find("unknown")) read_unknown(*unknown, problems, rules);
  if (const Tree* const list = object.find("entry"))
    each_object(*list, "entry", problems, [&](ObjectReader& each) { read_entry_rule(each, rules); });
  if (const Tree* const list = object.find("channels"))
    each_object(*list, "channels", problems, [&](ObjectReader& each) { read_channel(each, rules); });
  object.finish();
  check_templates(rules, problems);
}

}  // namespace

LoadedDialect Dialect::load(std::string_view text, const std::string& file) {
  Problems problems;
  auto rules = std::make_unique<Rules>();
  // Read twice: the strict reader sorts members, and replies are to have the order of the file.
  const auto strict = config::parse_json(text, problems);
  if (strict && !strict->is_object()) problems.error("", "must hold a JSON object");
  if (strict && strict->is_object()) read_file(Tree::parse(text, nullptr, false, true), problems, *rules);
  if (problems.empty()) return {std::make_shared<const Dialect>(std::move(rules)), {}};
  LoadedDialect out{nullptr, problems.take_errors()};
  for (config::Problem& each : out.problems)
    each.place = each.place.empty() ? file : file + ": " + each.place;
  return out;
}

}  // namespace holdfast::dialect
