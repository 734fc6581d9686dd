// Messages of our own: replies to clients, commands to the source.
#include <algorithm>
#include <map>

#include "dialect/rules.hpp"
#include "dialect/text.hpp"

namespace holdfast::dialect {
namespace {

const Template* template_of(const Rules& rules, RuleIndex index, Reply reply) {
  const ClientRule* const rule = index < rules.client.size() ? &rules.client[index] : nullptr;
  const auto or_null = [](const std::optional<Template>& each) { return each ? &*each : nullptr; };
  switch (reply) {
    case Reply::result:
      return rule == nullptr ? nullptr : or_null(rule->reply);
    case Reply::error:
      return rule != nullptr && rule->error ? &*rule->error : or_null(rules.error);
    case Reply::gap:
      return or_null(rules.gap);
    case Reply::presence:
      return or_null(rules.presence);
  }
  return nullptr;
}

std::string code_of(const Rules& rules, const ReplyValues& values) {
  if (!values.code.empty()) return std::string(values.code);
  const std::string& code = rules.codes[static_cast<std::size_t>(values.fault)];
  return code.empty() ? "\"" + std::string(text(values.fault)) + "\"" : code;
}

// Keys that one message names together.
struct Batch {
  const CommandRule* rule = nullptr;
  std::vector<std::size_t> keys;
};

// Those of one rule whose parts are equal where the rule's message has a place for one only. Keys that no
// rule is for are in none.
std::vector<Batch> together(const std::vector<CommandRule>& rules, std::span<const CommandKey> keys,
                            char separator) {
  std::vector<Batch> out;
  std::map<std::pair<const CommandRule*, std::string>, std::size_t> open;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto rule =
        std::ranges::find_if(rules, [&](const CommandRule& each) { return fits(each.match, keys[i].key); });
    if (rule == rules.end()) continue;
    std::string shared = rule->one_key ? std::to_string(i) : "";
    for (const unsigned part : rule->single_parts) {
      shared += part_of(keys[i].key, separator, part);
      shared += separator;
    }
    auto [place, is_new] = open.try_emplace({&*rule, shared}, out.size());
    if (!is_new && out[place->second].keys.size() >= rule->max_keys) {
      place->second = out.size();
      is_new = true;
    }
    if (is_new) out.push_back({&*rule, {}});
    out[place->second].keys.push_back(i);
  }
  return out;
}

class Commands {
 public:
  Commands(const Rules& rules, std::span<const CommandKey> keys, std::uint64_t number)
      : rules_(rules), keys_(keys), number_(number) {}

  std::vector<Command> render(const std::vector<CommandRule>& list) {
    for (const Batch& batch : together(list, keys_, rules_.separator)) add(*batch.rule, batch.keys);
    return std::move(out_);
  }

 private:
  // Halves what gets too long; a single key is sent whatever its length.
  void add(const CommandRule& rule, std::span<const std::size_t> indices) {
    Values values;
    std::vector<std::string_view> keys;
    for (const std::size_t i : indices) keys.push_back(keys_[i].key);
    values.key = keys.front();
    values.keys = keys;
    values.sub_id = keys_[indices.front()].sub_id;
    values.number = number_;
    values.separator = rules_.separator;
    values.group = rules_.group ? &*rules_.group : nullptr;
    Command command{{}, number_, {indices.begin(), indices.end()}};
    rule.message.render(values, command.text);
    if (command.text.size() > rule.max_bytes && indices.size() > 1) {
      add(rule, indices.first(indices.size() / 2));
      add(rule, indices.subspan(indices.size() / 2));
      return;
    }
    ++number_;
    out_.push_back(std::move(command));
  }

  const Rules& rules_;
  std::span<const CommandKey> keys_;
  std::uint64_t number_;
  std::vector<Command> out_;
};

}  // namespace

std::vector<std::string> Dialect::render_reply(RuleIndex rule, Reply reply, const ReplyValues& given) const {
  const Template* const message = template_of(*rules_, rule, reply);
  if (message == nullptr) return {};
  const std::vector<std::string_view> keys(given.keys.begin(), given.keys.end());
  const std::vector<std::string_view> all(given.all.begin(), given.all.end());
  const std::string code = code_of(*rules_, given);
  Values values;
  values.id = given.id;
  values.key = given.key.empty() && !keys.empty() ? keys.front() : given.key;
  values.keys = keys;
  values.all = all;
  values.sub_id = given.sub_id;
  values.code = code;
  values.message = given.message;
  values.count = given.count;
  values.unix_us = given.unix_us;
  values.separator = rules_->separator;
  values.group = rules_->group ? &*rules_->group : nullptr;
  std::vector<std::string> out;
  const bool one_per_key = reply == Reply::result && rules_->client[rule].one_per_key;
  if (!one_per_key) {
    message->render(values, out.emplace_back());
    return out;
  }
  for (const std::string_view key : keys) {
    values.key = key;
    message->render(values, out.emplace_back());
  }
  return out;
}

std::vector<Command> Dialect::render_commands(CommandKind kind, std::span<const CommandKey> keys,
                                              std::uint64_t number) const {
  return Commands(*rules_, keys, number)
      .render(kind == CommandKind::subscribe ? rules_->subscribe : rules_->unsubscribe);
}

std::string Dialect::render_ping(std::uint64_t number) const {
  std::string out;
  if (!rules_->ping) return out;
  Values values;
  values.number = number;
  rules_->ping->render(values, out);
  return out;
}

}  // namespace holdfast::dialect
