// What a client's message asks for.
#include <algorithm>
#include <functional>
#include <unordered_set>

#include "dialect/rules.hpp"
#include "dialect/text.hpp"

namespace holdfast::dialect {
namespace {

constexpr std::size_t longest_id = 128;

class ClientReading {
 public:
  ClientReading(const Rules& rules, std::string_view message, ScratchMemory& memory)
      : rules_(rules), message_(message), memory_(memory) {}

  ClientAct read() {
    memory_.note.clear();
    act_.what = ClientDo::unknown;
    if (message_.size() > rules_.limits.message_bytes) return too_large();
    const Walked walked = walk(message_, rules_.client_tree, Author::client, memory_);
    if (walked == Walked::broken)
      return fail(Fault::not_json, "the message must be JSON with each name once");
    if (walked == Walked::other_document)
      return fail(Fault::unknown_message, "the message must be an object");
    const bool good_id = read_id();
    const auto found = std::ranges::find_if(rules_.client, [&](const ClientRule& rule) {
      return std::ranges::all_of(rule.conditions, [&](const Condition& each) { return each.holds(memory_); });
    });
    if (found == rules_.client.end()) return fail(Fault::unknown_message, "there is no such message");
    act_.rule = static_cast<RuleIndex>(found - rules_.client.begin());
    act_.what = found->what;
    if (!good_id)
      return reject(Fault::bad_value, pointer(rules_.client_id) + " must be a number, a string or null");
    apply(*found);
    return act_;
  }

 private:
  ClientAct too_large() {
    return fail(Fault::too_large, "the message must not be longer than " +
                                      std::to_string(rules_.limits.message_bytes) + " bytes");
  }

  ClientAct fail(Fault fault, std::string why) {
    memory_.note = std::move(why);
    act_.fault = fault;
    act_.message = memory_.note;
    return act_;
  }

  ClientAct reject(Fault fault, std::string why) {
    act_.what = ClientDo::reject;
    act_.keys = {};
    return fail(fault, std::move(why));
  }

  std::string pointer(Slot slot) const { return rules_.client_tree.pointer(slot).text; }

  bool read_id() {
    if (rules_.client_id == no_slot) return true;
    const Value* const id = memory_.first(rules_.client_id);
    if (id == nullptr) return true;
    const bool good = id->is_scalar() && id->type != Value::Type::boolean && id->raw.length <= longest_id;
    if (good) act_.id = id->raw;
    return good;
  }

  void apply(const ClientRule& rule) {
    switch (rule.what) {
      case ClientDo::subscribe:
        if (!read_keys(rule.keys, rule.lane)) return;
        if (act_.keys.empty()) reject(Fault::bad_value, names_no_channel(rule.keys));
        return;
      case ClientDo::unsubscribe:
        return unsubscribe(rule);
      case ClientDo::request:
        return request(rule);
      case ClientDo::publish:
        return publish(rule);
      case ClientDo::set:
        act_.form = rule.form;
        return;
      case ClientDo::reject:
        reject(Fault::refused, rule.message);
        return;
      default:
        return;
    }
  }

  std::string names_no_channel(const std::vector<KeyTemplate>& keys) const {
    const std::string_view first = keys.empty() ? "" : keys.front().first_pointer(rules_.client_tree);
    return std::string(first.empty() ? "the message" : first) + " must name at least one channel";
  }

  // False: rejected. Texts are composed behind each other first, since they may move while they grow.
  bool read_keys(const std::vector<KeyTemplate>& templates, const std::optional<KeyTemplate>& lane) {
    std::vector<std::size_t> ends;
    const KeyLimits limits{rules_.limits.keys_per_message, rules_.limits.key_bytes};
    for (const KeyTemplate& each : templates) {
      const Fault fault = each.append(rules_.client_tree, rules_.separator, limits, memory_, ends);
      if (fault != Fault::none) return key_fault(fault, each);
    }
    std::string lane_text;
    if (lane) {
      lane_text = lane->only(rules_.separator, memory_);
      if (lane_text.empty()) return key_fault(Fault::bad_key, *lane);
      add_lane(lane_text, ends);
    }
    return make_keys(ends, lane_text.size());
  }

  void add_lane(const std::string& lane, std::vector<std::size_t>& ends) {
    std::string all;
    std::size_t begin = 0;
    for (std::size_t& end : ends) {
      all.append(memory_.text, begin, end - begin);
      begin = end;
      all += rules_.separator;
      all += lane;
      end = all.size();
    }
    memory_.text = std::move(all);
  }

  bool make_keys(const std::vector<std::size_t>& ends, std::size_t lane_bytes) {
    std::unordered_set<std::string_view> known;
    std::size_t begin = 0;
    for (const std::size_t end : ends) {
      const std::string_view key = std::string_view(memory_.text).substr(begin, end - begin);
      begin = end;
      if (key.empty() || key.size() > rules_.limits.key_bytes) {
        reject(Fault::bad_key,
               "a channel's name must have 1 to " + std::to_string(rules_.limits.key_bytes) + " bytes");
        return false;
      }
      if (ends.size() == 1 || known.insert(key).second)
        memory_.keys.push_back({key, key.substr(key.size() - lane_bytes)});
    }
    act_.keys = memory_.keys;
    return true;
  }

  bool key_fault(Fault fault, const KeyTemplate& key) {
    if (fault == Fault::too_many_keys) {
      reject(fault, "a message must not name more than " + std::to_string(rules_.limits.keys_per_message) +
                        " channels");
    } else {
      reject(fault, std::string(key.first_pointer(rules_.client_tree)) +
                        " must be a channel's name: text or number, at most " +
                        std::to_string(rules_.limits.key_bytes) +
                        " bytes, without control characters and \"" + rules_.separator + "\"");
    }
    return false;
  }

  void unsubscribe(const ClientRule& rule) {
    if (rule.sub_id != no_slot) {
      const Value* const id = memory_.first(rule.sub_id);
      const bool good = id != nullptr && id->type == Value::Type::string && !id->text.empty();
      if (!good || id->text.size() > longest_id) {
        reject(Fault::bad_value, pointer(rule.sub_id) + " must be a subscription id");
        return;
      }
      act_.sub_id = id->text;
      return;
    }
    const bool by_prefix = !rule.prefixes.empty();
    if (!read_keys(by_prefix ? rule.prefixes : rule.keys, rule.lane)) return;
    act_.keys_are = by_prefix ? KeysAre::prefixes : KeysAre::exact;
    if (act_.keys.empty()) reject(Fault::bad_value, names_no_channel(by_prefix ? rule.prefixes : rule.keys));
  }

  static bool is_among(const std::vector<std::string>& patterns, std::string_view method) {
    return std::ranges::any_of(patterns, [&](const std::string& each) { return fits(each, method); });
  }

  void request(const ClientRule& rule) {
    if (act_.id.empty()) {
      reject(Fault::bad_value, pointer(rules_.client_id) + " is missing: the answer could not be told apart");
      return;
    }
    if (rule.method != no_slot) {
      const Value* const method = memory_.first(rule.method);
      if (method == nullptr || method->type != Value::Type::string) {
        reject(Fault::bad_value, pointer(rule.method) + " must be a string");
        return;
      }
      act_.method = method->text;
    }
    if (is_among(rule.refuse, act_.method)) {
      reject(Fault::refused, "this method is not allowed here");
      return;
    }
    act_.shared = is_among(rule.share, act_.method);
    act_.retryable = act_.shared || is_among(rule.retry, act_.method);
    if (!act_.shared) return;
    append_replaced(message_, act_.id, {}, memory_.question = {});
    act_.question = memory_.question;
  }

  void publish(const ClientRule& rule) {
    if (!read_keys(rule.keys, rule.lane)) return;
    if (act_.keys.size() != 1) {
      reject(Fault::bad_value, names_no_channel(rule.keys));
      return;
    }
    act_.via = rule.via;
    act_.echo = rule.echo;
    act_.forward = {0, message_.size()};
    if (rule.forward == no_slot) return;
    const Value* const part = memory_.first(rule.forward);
    if (part == nullptr) {
      reject(Fault::bad_value, pointer(rule.forward) + " is missing");
      return;
    }
    act_.forward = part->raw;
  }

  const Rules& rules_;
  std::string_view message_;
  ScratchMemory& memory_;
  ClientAct act_;
};

}  // namespace

bool Condition::holds(const ScratchMemory& memory) const noexcept {
  const std::vector<Value>& values = memory.values[slot];
  if (kind != Kind::equal) return values.empty() == (kind == Kind::absent);
  return std::ranges::any_of(values, [&](const Value& value) {
    return std::ranges::any_of(
        any_of, [&](const Constant& each) { return each.type == value.type && each.text == value.text; });
  });
}

ClientAct Dialect::read_client(std::string_view message, Scratch& scratch) const {
  if (rules_->opaque) return {};
  return ClientReading(*rules_, message, scratch.memory()).read();
}

void append_replaced(std::string_view message, Span place, std::string_view with, std::string& out) {
  out.reserve(out.size() + message.size() - place.length + with.size());
  out += message.substr(0, place.offset);
  out += with;
  out += message.substr(place.offset + place.length);
}

}  // namespace holdfast::dialect
