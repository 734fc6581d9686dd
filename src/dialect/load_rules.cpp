#include "dialect/load_rules.hpp"

#include <algorithm>

#include "dialect/object_reader.hpp"
#include "dialect/words.hpp"

namespace holdfast::dialect {
namespace {

using config::Problems;

constexpr std::size_t most_rules = 200;

// Of two objects or arrays we could not say which is meant.
std::optional<Constant> constant(const Tree& value) {
  switch (value.type()) {
    case Tree::value_t::null:
      return Constant{Value::Type::null, "null"};
    case Tree::value_t::boolean:
      return Constant{Value::Type::boolean, value.dump()};
    case Tree::value_t::number_integer:
    case Tree::value_t::number_unsigned:
      return Constant{Value::Type::number, value.dump()};
    case Tree::value_t::string:
      return Constant{Value::Type::string, value.get<std::string>()};
    default:
      return std::nullopt;
  }
}

// Shared by both lists.
class RuleReader {
 public:
  RuleReader(const Tree& tree, const std::string& place, PointerTree& pointers, Problems& problems)
      : object(tree, place, problems), pointers_(pointers) {}

  std::vector<Condition> conditions() {
    std::vector<Condition> out;
    if (const Tree* const equal = object.find("if")) equals(*equal, out);
    presence("has", Condition::Kind::present, out);
    presence("lacks", Condition::Kind::absent, out);
    return out;
  }

  void pointer(const char* key, Slot& out) { object.pointer(key, pointers_, out); }

  void whole_pointer(const char* key, Slot& out) {
    pointer(key, out);
    if (out != no_slot) pointers_.want_text(out);
  }

  std::optional<KeyTemplate> key(const char* name) {
    std::string text;
    object.text(name, text);
    if (text.empty()) return std::nullopt;
    std::string why;
    auto made = KeyTemplate::compile(text, pointers_, why);
    if (!made) object.wrong(name, config::quote(text), why);
    if (!made || !made->has_star(pointers_)) return made;
    object.wrong(name, config::quote(text), "must name one channel, without \"*\"");
    return std::nullopt;
  }

  std::vector<KeyTemplate> keys(const char* name) {
    std::vector<std::string> texts;
    object.texts(name, texts);
    std::vector<KeyTemplate> out;
    for (const std::string& text : texts) {
      std::string why;
      if (auto made = KeyTemplate::compile(text, pointers_, why)) {
        out.push_back(*std::move(made));
      } else {
        object.wrong(name, config::quote(text), why);
      }
    }
    return out;
  }

  std::optional<Template> reply(const char* key) {
    const Tree* const found = object.find(key);
    if (found == nullptr) return std::nullopt;
    return Template::compile(*found, Use::reply, object.place(key), object.problems());
  }

  void whole_pointers(const char* key, std::vector<Slot>& out) {
    std::vector<std::string> texts;
    object.texts(key, texts);
    for (const std::string& text : texts) {
      std::string why;
      const auto slot = pointers_.add(text, why);
      if (!slot) {
        object.wrong(key, config::quote(text), why);
        continue;
      }
      pointers_.want_text(*slot);
      out.push_back(*slot);
    }
  }

  PointerTree& pointers() { return pointers_; }

  ObjectReader object;

 private:
  void equals(const Tree& tree, std::vector<Condition>& out) {
    if (!tree.is_object()) return object.wrong("if", shown(tree), "must be an object of pointers and values");
    for (const auto& [pointer, value] : tree.items()) {
      const std::string where = "if." + pointer;
      std::string why;
      const auto slot = pointers_.add(pointer, why);
      if (!slot) {
        object.wrong("if", config::quote(pointer), why);
        continue;
      }
      Condition condition{Condition::Kind::equal, *slot, {}};
      const auto add = [&](const Tree& each) {
        if (auto made = constant(each)) {
          condition.any_of.push_back(*std::move(made));
        } else {
          object.wrong(where, shown(each),
                       "must be a string, an integer, true, false or null, or a list of those");
        }
      };
      if (value.is_array() && !value.empty()) {
        std::ranges::for_each(value, add);
      } else {
        add(value);
      }
      out.push_back(std::move(condition));
    }
  }

  void presence(const char* key, Condition::Kind kind, std::vector<Condition>& out) {
    std::vector<std::string> texts;
    object.texts(key, texts);
    for (const std::string& text : texts) {
      std::string why;
      if (const auto slot = pointers_.add(text, why)) {
        out.push_back({kind, *slot, {}});
      } else {
        object.wrong(key, config::quote(text), why);
      }
    }
  }

  PointerTree& pointers_;
};

void missing(RuleReader& reader, const char* key, const std::string& why) {
  reader.object.problems().error(reader.object.place(key), "is missing: " + why);
}

void read_keys(RuleReader& reader, ClientRule& rule) {
  rule.keys = reader.keys("keys");
  rule.lane = reader.key("lane");
  std::size_t per = 0;
  constexpr std::array<std::string_view, 2> words{"message", "key"};
  reader.object.choice("reply_per", per, words);
  rule.one_per_key = per == 1;
}

void read_unsubscribe(RuleReader& reader, ClientRule& rule) {
  read_keys(reader, rule);
  rule.prefixes = reader.keys("prefixes");
  reader.pointer("subid", rule.sub_id);
  const int given =
      (rule.keys.empty() ? 0 : 1) + (rule.prefixes.empty() ? 0 : 1) + (rule.sub_id == no_slot ? 0 : 1);
  if (given == 1) return;
  for (const char* key : {"keys", "prefixes", "subid"}) {
    if (reader.object.problems().has(reader.object.place(key))) return;
  }
  reader.object.problems().error(
      reader.object.place("keys"),
      "must be one of \"keys\", \"prefixes\" and \"subid\", are " + std::to_string(given));
}

void read_publish(RuleReader& reader, ClientRule& rule) {
  if (auto key = reader.key("key")) rule.keys.push_back(*std::move(key));
  if (rule.keys.empty() && !reader.object.problems().has(reader.object.place("key")))
    missing(reader, "key", "say which channel");
  reader.object.choice("via", rule.via, via_words);
  bool echo = rule.echo == Echo::yes;
  reader.object.flag("echo", echo);
  rule.echo = echo ? Echo::yes : Echo::no;
  reader.whole_pointer("forward", rule.forward);
}

void read_request(RuleReader& reader, const Rules& rules, ClientRule& rule) {
  reader.pointer("method", rule.method);
  reader.object.texts("share", rule.share);
  reader.object.texts("retry", rule.retry);
  reader.object.texts("refuse", rule.refuse);
  const bool by_method = !rule.share.empty() || !rule.retry.empty() || !rule.refuse.empty();
  if (by_method && rule.method == no_slot)
    missing(reader, "method", "\"share\", \"retry\" and \"refuse\" go by it");
  if (rules.client_id == no_slot)
    reader.object.problems().error(reader.object.place("do"),
                                   "is \"request\", needs the file's \"id\": answers are told apart by it");
}

void read_client_rule(RuleReader& reader, const Rules& rules, ClientRule& rule) {
  switch (rule.what) {
    case ClientDo::subscribe:
      read_keys(reader, rule);
      if (rule.keys.empty() && !reader.object.problems().has(reader.object.place("keys")))
        missing(reader, "keys", "say which channels");
      break;
    case ClientDo::unsubscribe:
      read_unsubscribe(reader, rule);
      break;
    case ClientDo::request:
      read_request(reader, rules, rule);
      break;
    case ClientDo::publish:
      read_publish(reader, rule);
      break;
    case ClientDo::set: {
      std::size_t form = 0;
      const bool given = reader.object.choice("form", form, form_words);
      if (given) rule.form = static_cast<Form>(form);
      if (!given && !reader.object.problems().has(reader.object.place("form")))
        missing(reader, "form", "say which");
      break;
    }
    case ClientDo::reject:
      rule.message = "this is not allowed here";
      reader.object.text("message", rule.message);
      break;
    default:
      break;
  }
  if (rule.what != ClientDo::request && rule.what != ClientDo::reject) rule.reply = reader.reply("reply");
  rule.error = reader.reply("error");
}

void read_data(RuleReader& reader, SourceRule& rule) {
  reader.pointer("subid", rule.sub_id);
  if (const Tree* const sequence = reader.object.find("sequence")) {
    RuleReader inner(*sequence, reader.object.place("sequence"), reader.pointers(), reader.object.problems());
    inner.pointer("first", rule.first);
    inner.pointer("last", rule.last);
    inner.object.finish();
  }
  reader.whole_pointer("slice", rule.slice);
  reader.whole_pointers("dedupe", rule.dedupe);
  if (!rule.key && rule.sub_id == no_slot && !reader.object.problems().has(reader.object.place("key")))
    missing(reader, "key", "say which channel, or \"subid\"");
}

void read_source_rule(RuleReader& reader, SourceRule& rule) {
  if (rule.what != SourceDo::notice && rule.what != SourceDo::ignore) rule.key = reader.key("key");
  switch (rule.what) {
    case SourceDo::data:
    case SourceDo::snapshot:
      read_data(reader, rule);
      break;
    case SourceDo::ack:
    case SourceDo::response:
      reader.pointer("id", rule.id);
      reader.pointer("subid", rule.sub_id);
      if (rule.what == SourceDo::response && rule.id == no_slot &&
          !reader.object.problems().has(reader.object.place("id")))
        missing(reader, "id", "say where our number is");
      break;
    case SourceDo::error:
      reader.pointer("id", rule.id);
      reader.pointer("message", rule.message);
      reader.pointer("code", rule.code);
      break;
    case SourceDo::notice:
      reader.object.choice("then", rule.notice, notice_words);
      break;
    default:
      break;
  }
}

template <class Rule, class Read>
void each_rule(const Tree& list, const std::string& place, std::span<const std::string_view> words,
               PointerTree& pointers, Problems& problems, std::vector<Rule>& out, const Read& read) {
  if (!list.is_array() || list.size() > most_rules)
    return problems.error(
        place, "is " + shown(list) + ", must be a list of up to " + std::to_string(most_rules) + " rules");
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string where = place + "[" + std::to_string(i) + "]";
    if (i > 0 && out.back().conditions.empty())
      problems.error(where, "is never reached: the rule before it takes every message");
    Rule& rule = out.emplace_back();
    RuleReader reader(list[i], where, pointers, problems);
    rule.conditions = reader.conditions();
    std::size_t what = 0;
    const bool known = reader.object.choice("do", what, words);
    if (!known && list[i].is_object() && !list[i].contains("do"))
      problems.error(reader.object.place("do"), "is missing");
    if (!known) continue;  // what else it may have depends on it
    rule.what = static_cast<decltype(rule.what)>(what);
    read(reader, rule);
    reader.object.finish();
  }
  if (const std::string clash = pointers.clash(); !clash.empty())
    problems.error(place, "has the pointer " + config::quote(clash) +
                              ", must not look behind a number where another pointer has \"*\"");
}

}  // namespace

void load_client_rules(const Tree& list, const std::string& place, Problems& problems, Rules& rules) {
  const std::span words(client_words.data(), client_words.size() - 1);
  each_rule(list, place, words, rules.client_tree, problems, rules.client,
            [&](RuleReader& reader, ClientRule& rule) { read_client_rule(reader, rules, rule); });
}

void load_source_rules(const Tree& list, const std::string& place, Problems& problems, Rules& rules) {
  const std::span words(source_words.data(), source_words.size() - 1);
  each_rule(list, place, words, rules.source_tree, problems, rules.source, read_source_rule);
}

}  // namespace holdfast::dialect
