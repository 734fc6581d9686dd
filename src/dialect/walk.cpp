#include "dialect/walk.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>

#include "dialect/text.hpp"

namespace holdfast::dialect {
namespace {

using simdjson::ondemand::json_type;

constexpr std::size_t least_capacity = 4096;
constexpr std::size_t kept_capacity = 1U << 20U;

std::string_view trimmed(std::string_view token) {
  const std::size_t last = token.find_last_not_of(" \t\r\n");
  return token.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

// Beyond that some libraries take a number for infinite, others for no JSON.
bool fits_double(std::string_view number) {
  double value = 0;
  return std::from_chars(number.data(), number.data() + number.size(), value).ec == std::errc{};
}

// Where in the tree, how deep in the message, and which elements the stars stand for so far.
struct Place {
  NodeIndex node = root_node;
  NodeIndex also = no_node;  // by its number what `node` is by its "*"
  std::uint8_t stars = 0;
  std::uint8_t depth = 0;
  std::array<std::uint32_t, most_stars> index{};
};

class Walker {
 public:
  Walker(const PointerTree& tree, Author author, ScratchMemory& memory)
      : tree_(tree), strict_(author == Author::client), memory_(memory) {}

  Walked run(simdjson::ondemand::document& document) {
    document_ = &document;
    json_type type{};
    if (document.type().get(type)) return Walked::broken;
    if (type != json_type::object && type != json_type::array) return Walked::other_document;
    simdjson::ondemand::value root;
    if (document.get_value().get(root)) return Walked::broken;
    return visit(root, {}) && is_at_end() ? Walked::fine : Walked::broken;
  }

 private:
  // All return false where the message is broken.
  bool visit(simdjson::ondemand::value value, const Place& place) {
    json_type type{};
    if (value.type().get(type)) return false;
    const std::string_view token = value.raw_json_token();
    if (type != json_type::object && type != json_type::array)
      return scalar(value, type, trimmed(token), place);
    Value found;
    found.type = type == json_type::object ? Value::Type::object : Value::Type::array;
    found.index = place.index;
    // Recorded before what is inside of it and without its bytes, whose end is not known yet.
    const Recorded recorded = record(found, place);
    if (!strict_ && tree_.node(place.node).is_leaf()) {
      std::string_view raw;
      if (recorded.wants_text && !skip_over(value, type, raw)) return false;
      found.raw = span_of(trimmed(raw));
    } else {
      if (place.depth == most_nesting) return false;
      if (!(type == json_type::object ? object(value, place) : array(value, place))) return false;
      found.raw = from_here(token);
    }
    if (recorded.wants_text) put_raw(recorded, found.raw);
    return true;
  }

  // Which entries were made for a value: one for its own pointer, one where another names its number.
  struct Recorded {
    std::array<Slot, 2> slots{no_slot, no_slot};
    std::array<std::size_t, 2> entries{};
    bool wants_text = false;
  };

  Recorded record(const Value& value, const Place& place) {
    Recorded out;
    if (place.node != no_node) add(value, place.node, out, 0);
    if (place.also != no_node) add(value, place.also, out, 1);
    return out;
  }

  void add(const Value& value, NodeIndex node, Recorded& out, std::size_t which) {
    const Slot slot = tree_.node(node).slot;
    if (slot == no_slot) return;
    std::vector<Value>& list = memory_.values[slot];
    if (list.empty()) memory_.found.push_back(slot);
    list.push_back(value);
    out.slots[which] = slot;
    out.entries[which] = list.size() - 1;
    out.wants_text = out.wants_text || tree_.node(node).wants_text;
  }

  void put_raw(const Recorded& recorded, Span raw) {
    for (std::size_t i = 0; i < recorded.slots.size(); ++i) {
      if (recorded.slots[i] != no_slot) memory_.values[recorded.slots[i]][recorded.entries[i]].raw = raw;
    }
  }

  Span span_of(std::string_view raw) const {
    if (raw.empty()) return {};
    return {static_cast<std::size_t>(raw.data() - memory_.bytes.data()), raw.size()};
  }

  bool is_at_end() const { return document_->current_location().error() == simdjson::OUT_OF_BOUNDS; }

  // From the first byte of `token` to where the parser is now.
  Span from_here(std::string_view token) const {
    const char* here = memory_.bytes.data() + memory_.message_bytes;
    const char* location = nullptr;
    if (!document_->current_location().get(location)) here = location;
    return span_of(trimmed({token.data(), static_cast<std::size_t>(here - token.data())}));
  }

  static bool skip_over(simdjson::ondemand::value& value, json_type type, std::string_view& raw) {
    if (type == json_type::object) {
      simdjson::ondemand::object object;
      return !value.get_object().get(object) && !object.raw_json().get(raw);
    }
    simdjson::ondemand::array array;
    return !value.get_array().get(array) && !array.raw_json().get(raw);
  }

  bool object(simdjson::ondemand::value& value, const Place& place) {
    simdjson::ondemand::object object;
    if (value.get_object().get(object)) return false;
    std::uint64_t seen = 0;
    for (auto field : object) {
      simdjson::ondemand::field member;
      std::string_view name;
      if (std::move(field).get(member) || !name_of(member, name)) return false;
      const NodeIndex node = place.node == no_node ? no_node : member_of(place.node, name, seen);
      if (node == broken_) return false;
      if (node == no_node && !strict_) continue;
      if (!visit(member.value(), inside(place, node))) return false;
    }
    return true;
  }

  // Most strings have no escapes, and are read where they stand. That they end, hold no control character and
  // are UTF-8 the parser has seen to.
  static bool name_of(simdjson::ondemand::field& member, std::string_view& name) {
    const char* const begin = member.key().raw();
    const char* end = begin;
    while (*end != '"' && *end != '\\') ++end;
    if (*end == '\\') return !member.unescaped_key().get(name);
    name = {begin, static_cast<std::size_t>(end - begin)};
    return true;
  }

  bool text_of(simdjson::ondemand::value& value, std::string_view token, std::string_view& text) const {
    // A string that is skipped may have a ":" behind it, as if it were a name: clients' are taken.
    if (strict_ || token.find('\\') != std::string_view::npos) return !value.get_string().get(text);
    text = token.size() < 2 ? std::string_view{} : token.substr(1, token.size() - 2);
    return token.size() >= 2;
  }

  bool array(simdjson::ondemand::value& value, const Place& place) {
    simdjson::ondemand::array array;
    if (value.get_array().get(array)) return false;
    std::uint32_t index = 0;
    for (auto result : array) {
      simdjson::ondemand::value element;
      if (std::move(result).get(element)) return false;
      if (!visit_element(element, place, index)) return false;
      ++index;
    }
    return true;
  }

  // The parser gives an element only once, but it may be one of "*" and have a pointer by its number.
  bool visit_element(simdjson::ondemand::value element, const Place& place, std::uint32_t index) {
    if (place.node == no_node) return visit(element, inside(place, no_node));
    const PointerTree::Node& node = tree_.node(place.node);
    Place next = inside(place, node.star);
    const auto child = std::ranges::find(node.children, std::size_t{index}, &PointerTree::Child::index);
    const NodeIndex numbered = child == node.children.end() ? no_node : child->node;
    if (node.star != no_node) {
      next.index[next.stars++] = index;
      next.also = numbered;
    } else {
      next.node = numbered;
    }
    return (next.node == no_node && !strict_) || visit(element, next);
  }

  NodeIndex member_of(NodeIndex parent, std::string_view name, std::uint64_t& seen) const {
    const auto& children = tree_.node(parent).children;
    for (std::size_t i = 0; i < children.size(); ++i) {
      if (children[i].name == name) {
        const std::uint64_t bit = std::uint64_t{1} << i;
        if ((seen & bit) != 0) return broken_;
        seen |= bit;
        return children[i].node;
      }
      if (strict_ && differ_in_case_only(children[i].name, name)) return broken_;
    }
    return no_node;
  }

  static Place inside(const Place& place, NodeIndex node) {
    Place next = place;
    next.node = node;
    next.also = no_node;
    ++next.depth;
    return next;
  }

  bool scalar(simdjson::ondemand::value& value, json_type type, std::string_view token, const Place& place) {
    Value out;
    out.text = token;
    out.raw = span_of(token);
    out.index = place.index;
    switch (type) {
      case json_type::string:
        out.type = Value::Type::string;
        if (!token.ends_with('"') || !text_of(value, token, out.text)) return false;
        break;
      case json_type::number:
        out.type = Value::Type::number;
        if (!is_number(token) || (strict_ && !fits_double(token))) return false;
        break;
      case json_type::boolean:
        out.type = Value::Type::boolean;
        if (token != "true" && token != "false") return false;
        break;
      default:
        if (token != "null") return false;
    }
    record(out, place);
    return true;
  }

  static constexpr NodeIndex broken_ = 0xfffe;

  const PointerTree& tree_;
  const bool strict_;
  ScratchMemory& memory_;
  simdjson::ondemand::document* document_ = nullptr;
};

void forget(const PointerTree& tree, ScratchMemory& memory) {
  for (const Slot slot : memory.found) memory.values[slot].clear();
  memory.found.clear();
  if (memory.values.size() < tree.slots()) memory.values.resize(tree.slots());
  memory.keys.clear();
  memory.text.clear();
}

// The parser reads a little beyond the end of what it is given.
bool take(std::string_view message, ScratchMemory& memory) {
  const std::size_t needed = message.size() + simdjson::SIMDJSON_PADDING;
  if (memory.bytes.size() > kept_capacity && needed <= kept_capacity) {
    memory.bytes = {};
    memory.parser = simdjson::ondemand::parser();
    memory.canonical_parser = simdjson::ondemand::parser();
    for (auto& list : memory.values) list = {};
    memory.text = {};
  }
  // Rarely grown while messages are small, and not to twice of what is large.
  if (memory.bytes.size() < needed)
    memory.bytes.resize(needed > kept_capacity ? needed + needed / 8
                                               : std::bit_ceil(std::max(needed, least_capacity)));
  std::memcpy(memory.bytes.data(), message.data(), message.size());
  // A remnant of the last message behind the end would not be seen, but makes faults hard to repeat.
  std::memset(memory.bytes.data() + message.size(), 0, simdjson::SIMDJSON_PADDING);
  memory.message_bytes = message.size();
  return memory.parser.capacity() >= memory.bytes.size() ||
         memory.parser.allocate(memory.bytes.size()) == simdjson::SUCCESS;
}

}  // namespace

Walked walk(std::string_view message, const PointerTree& tree, Author author, ScratchMemory& memory) {
  forget(tree, memory);
  if (message.empty() || !take(message, memory)) return Walked::broken;
  simdjson::ondemand::document document;
  const simdjson::padded_string_view padded(memory.bytes.data(), message.size(), memory.bytes.size());
  if (memory.parser.iterate(padded).get(document)) return Walked::broken;
  return Walker(tree, author, memory).run(document);
}

}  // namespace holdfast::dialect
