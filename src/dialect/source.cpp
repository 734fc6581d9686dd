// What a message of the source is. Nothing here allocates once the scratch has grown.
#include <algorithm>
#include <functional>

#include "dialect/rules.hpp"
#include "dialect/text.hpp"

namespace holdfast::dialect {
namespace {

std::optional<std::uint64_t> number_at(Slot slot, const ScratchMemory& memory) {
  const Value* const value = slot == no_slot ? nullptr : memory.first(slot);
  if (value == nullptr || value->type != Value::Type::number) return std::nullopt;
  return read_integer(value->text);
}

std::string_view raw_of(const Value& value, std::string_view message) {
  return value.is_scalar() || !value.raw.empty() ? value.raw.of(message) : std::string_view{};
}

std::optional<std::uint64_t> digest_of(const std::vector<Slot>& slots, std::string_view message,
                                       const ScratchMemory& memory) {
  for (const Slot slot : slots) {
    const Value* const value = memory.first(slot);
    if (value != nullptr) return std::hash<std::string_view>{}(raw_of(*value, message));
  }
  return std::nullopt;
}

void read_key(const KeyTemplate& key, char separator, std::string_view lane, ScratchMemory& memory,
              SourceAct& act) {
  act.key.text = key.only(separator, memory);
  if (act.key.text.empty() || lane.empty()) return;
  // A key that was composed is all that the text holds; else it is text of the parser.
  if (memory.text.empty()) memory.text += act.key.text;
  memory.text += separator;
  memory.text += lane;
  act.key.text = memory.text;
  act.key.lane = act.key.text.substr(act.key.text.size() - lane.size());
}

void read_ids(const SourceRule& rule, ScratchMemory& memory, SourceAct& act) {
  if (rule.id != no_slot) {
    act.number = number_at(rule.id, memory);
    if (act.number) act.number_span = memory.first(rule.id)->raw;
    act.lacks_number = !act.number;
  }
  const Value* const sub_id = rule.sub_id == no_slot ? nullptr : memory.first(rule.sub_id);
  const bool good =
      sub_id != nullptr && (sub_id->type == Value::Type::string || sub_id->type == Value::Type::number);
  if (!good) return;
  act.sub_id = sub_id->text;
  const bool carries = rule.what == SourceDo::data || rule.what == SourceDo::snapshot;
  if (carries) act.sub_id_span = sub_id->raw;
}

void read_error(const SourceRule& rule, std::string_view message, const ScratchMemory& memory,
                SourceAct& act) {
  const Value* const words = rule.message == no_slot ? nullptr : memory.first(rule.message);
  if (words != nullptr && words->is_scalar()) act.message = words->text;
  const Value* const code = rule.code == no_slot ? nullptr : memory.first(rule.code);
  if (code != nullptr && code->is_scalar()) act.code = code->raw.of(message);
}

SourceAct apply(const SourceRule& rule, const Rules& rules, std::string_view message, std::string_view lane,
                ScratchMemory& memory) {
  SourceAct act;
  act.what = rule.what;
  act.rule = static_cast<RuleIndex>(&rule - rules.source.data());
  act.slice = {0, message.size()};
  act.notice = rule.notice;
  if (rule.key) read_key(*rule.key, rules.separator, lane, memory, act);
  read_ids(rule, memory, act);
  act.first = number_at(rule.first, memory);
  act.last = number_at(rule.last, memory);
  if (!rule.dedupe.empty()) act.digest = digest_of(rule.dedupe, message, memory);
  if (rule.what == SourceDo::error) read_error(rule, message, memory, act);
  const Value* const slice = rule.slice == no_slot ? nullptr : memory.first(rule.slice);
  if (slice != nullptr) act.slice = slice->raw;
  const bool carries = rule.what == SourceDo::data || rule.what == SourceDo::snapshot;
  if (carries && act.key.text.empty() && act.sub_id.empty()) act.what = SourceDo::unknown;
  return act;
}

}  // namespace

SourceAct Dialect::read_source(std::string_view message, std::string_view lane, Scratch& scratch) const {
  SourceAct act;
  act.slice = {0, message.size()};
  if (rules_->opaque) {
    act.what = SourceDo::data;
    return act;
  }
  ScratchMemory& memory = scratch.memory();
  if (walk(message, rules_->source_tree, Author::source, memory) != Walked::fine) return act;
  for (const SourceRule& rule : rules_->source) {
    const bool is_it =
        std::ranges::all_of(rule.conditions, [&](const Condition& each) { return each.holds(memory); });
    if (is_it) return apply(rule, *rules_, message, lane, memory);
  }
  return act;
}

void Dialect::append_forwarded(std::string_view message, const SourceAct& act, Form form,
                               std::string_view stable_sub_id, std::string& out) {
  const Span whole{0, message.size()};
  const Span span = form == Form::slice ? act.slice : whole;
  const Span id = act.sub_id_span;
  const bool inside =
      !id.empty() && id.offset >= span.offset && id.offset + id.length <= span.offset + span.length;
  if (!inside) {
    out += span.of(message);
    return;
  }
  std::string quoted;
  append_string(stable_sub_id, quoted);
  append_replaced(span.of(message), {id.offset - span.offset, id.length}, quoted, out);
}

}  // namespace holdfast::dialect
