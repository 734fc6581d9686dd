#include "dialect/key.hpp"

#include <algorithm>
#include <array>

#include "dialect/canonical.hpp"

namespace holdfast::dialect {
namespace {

constexpr const char* allowed =
    "must be a JSON pointer, or text with pointers in braces such as \"book|{/params/symbol/*}\", "
    "\"{/params/depth=10}\" (if absent), \"{/params:json}\" or \"{/symbol:lower}\"";

// Neither control characters (names go into logs) nor what parts names.
bool is_usable(std::string_view text, char separator) {
  return std::ranges::none_of(
      text, [&](char c) { return c == separator || static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace

// A name under way: which element each "*" stands for, and what is written of it.
struct KeyTemplate::Building {
  struct Bound {
    NodeIndex star = no_node;
    std::uint32_t index = 0;
  };

  const std::vector<Part>& parts;
  const PointerTree& tree;
  const char separator;
  const KeyLimits limits;
  ScratchMemory& memory;
  std::vector<std::size_t>& ends;
  std::size_t begin = 0;  // of the name under way in memory.text
  // Combinations that lack a later value make no name, but take time.
  std::size_t most_tries = 0;
  std::size_t tried = 0;
  std::vector<Bound> bound;
};

std::optional<KeyTemplate> KeyTemplate::compile(std::string_view text, PointerTree& tree, std::string& why) {
  why = allowed;
  KeyTemplate out;
  std::string braced;
  if (text.starts_with('/')) {
    braced = "{" + std::string(text) + "}";
    text = braced;
  }
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    Part part;
    const std::size_t brace = std::min(text.find('{'), text.size());
    part.literal = text.substr(0, brace);
    if (part.literal.find('}') != std::string::npos) return std::nullopt;
    text.remove_prefix(brace);
    if (!text.empty()) {
      const std::size_t end = text.find('}');
      if (end == std::string_view::npos) return std::nullopt;
      std::string_view inside = text.substr(1, end - 1);
      text.remove_prefix(end + 1);
      if (const std::size_t equals = inside.find('='); equals != std::string_view::npos) {
        part.otherwise = inside.substr(equals + 1);
        inside = inside.substr(0, equals);
      }
      if (const std::size_t colon = inside.find(':'); colon != std::string_view::npos) {
        const std::string_view as = inside.substr(colon + 1);
        if (as != "json" && as != "lower") return std::nullopt;
        part.as = as == "json" ? As::json : As::lower;
        inside = inside.substr(0, colon);
      }
      if (!inside.starts_with('/')) return std::nullopt;
      const auto slot = tree.add(inside, why);
      if (!slot) return std::nullopt;
      why = allowed;
      part.slot = *slot;
      if (part.as == As::json) tree.want_text(*slot);
    }
    out.parts_.push_back(std::move(part));
  }
  why.clear();
  return out;
}

bool KeyTemplate::append_value(const Part& part, const Value& value, char separator, ScratchMemory& memory) {
  if (part.as == As::json) return append_canonical(value.raw, memory, memory.text);
  if (!value.is_scalar() || value.type == Value::Type::null || value.text.empty()) return false;
  if (!is_usable(value.text, separator)) return false;
  const std::size_t begin = memory.text.size();
  memory.text += value.text;
  if (part.as == As::lower) {
    const auto from = memory.text.begin() + static_cast<std::ptrdiff_t>(begin);
    std::transform(from, memory.text.end(), from, lower);
  }
  return true;
}

Fault KeyTemplate::build(Building& b, std::size_t index) {
  if (index == b.parts.size()) {
    if (b.ends.size() == b.limits.most) return Fault::too_many_keys;
    b.ends.push_back(b.memory.text.size());
    // The next name begins as this one did; what they share is written again.
    const std::size_t length = b.memory.text.size() - b.begin;
    b.memory.text.append(b.memory.text, b.begin, length);
    b.begin += length;
    return Fault::none;
  }
  const Part& part = b.parts[index];
  const std::size_t written = b.memory.text.size() - b.begin;  // relative: names that end move `begin`
  const auto restart = [&] { b.memory.text.resize(b.begin + written); };
  b.memory.text += part.literal;
  if (part.slot == no_slot) {
    const Fault fault = build(b, index + 1);
    restart();
    return fault;
  }
  const auto& stars = b.tree.pointer(part.slot).stars;
  std::array<std::uint32_t, most_stars> wanted{};
  std::size_t known = 0;
  for (; known < stars.size(); ++known) {
    const auto found = std::ranges::find(b.bound, stars[known], &Building::Bound::star);
    if (found == b.bound.end()) break;
    wanted[known] = found->index;
  }
  // Values are in the order of their elements, outer ones first.
  const std::vector<Value>& values = b.memory.values[part.slot];
  const std::span fixed = std::span(wanted).first(known);
  const auto before = [&](const Value& value, std::span<const std::uint32_t> place) {
    return std::ranges::lexicographical_compare(std::span(value.index).first(known), place);
  };
  const auto behind = [&](std::span<const std::uint32_t> place, const Value& value) {
    return std::ranges::lexicographical_compare(place, std::span(value.index).first(known));
  };
  const auto first = std::lower_bound(values.begin(), values.end(), fixed, before);
  const auto last = std::upper_bound(first, values.end(), fixed, behind);
  const std::size_t bound_before = b.bound.size();
  bool any = false;
  for (const Value& value : std::span(first, last)) {
    // Rules look inside of some elements and take others as they are ("channels" of Coinbase).
    if (!value.is_scalar() && part.as != As::json && b.tree.has_inside(part.slot)) continue;
    if (++b.tried > b.most_tries) return Fault::too_many_keys;
    any = true;
    restart();
    b.memory.text += part.literal;
    const bool good = append_value(part, value, b.separator, b.memory);
    if (!good || b.memory.text.size() - b.begin > b.limits.longest) {
      restart();
      return Fault::bad_key;
    }
    for (std::size_t i = known; i < stars.size(); ++i) b.bound.push_back({stars[i], value.index[i]});
    const Fault fault = build(b, index + 1);
    b.bound.resize(bound_before);
    if (fault != Fault::none) return fault;
  }
  if (any || !part.otherwise) {
    restart();
    return Fault::none;
  }
  b.memory.text += *part.otherwise;
  const Fault fault = build(b, index + 1);
  restart();
  return fault;
}

Fault KeyTemplate::append(const PointerTree& tree, char separator, KeyLimits limits, ScratchMemory& memory,
                          std::vector<std::size_t>& ends) const {
  Building building{parts_, tree, separator, limits, memory, ends, memory.text.size(), 8 * limits.most + 8,
                    0,      {}};
  const Fault fault = build(building, 0);
  memory.text.resize(building.begin);
  return fault;
}

std::string_view KeyTemplate::only(char separator, ScratchMemory& memory) const {
  const Part& first = parts_.front();
  if (parts_.size() == 1 && first.literal.empty() && first.as == As::text && first.slot != no_slot) {
    const Value* const value = memory.first(first.slot);
    if (value != nullptr && value->type == Value::Type::string && is_usable(value->text, separator))
      return value->text;
  }
  const std::size_t begin = memory.text.size();
  for (const Part& part : parts_) {
    memory.text += part.literal;
    if (part.slot == no_slot) continue;
    const Value* const value = memory.first(part.slot);
    if (value == nullptr && part.otherwise) {
      memory.text += *part.otherwise;
    } else if (value == nullptr || !append_value(part, *value, separator, memory)) {
      memory.text.resize(begin);
      return {};
    }
  }
  return std::string_view(memory.text).substr(begin);
}

bool KeyTemplate::is_one_json_value() const noexcept {
  return parts_.size() == 1 && parts_[0].literal.empty() && parts_[0].as == As::json && !parts_[0].otherwise;
}

bool KeyTemplate::has_star(const PointerTree& tree) const noexcept {
  return std::ranges::any_of(parts_, [&](const Part& part) {
    return part.slot != no_slot && !tree.pointer(part.slot).stars.empty();
  });
}

std::string_view KeyTemplate::first_pointer(const PointerTree& tree) const noexcept {
  for (const Part& part : parts_) {
    if (part.slot != no_slot) return tree.pointer(part.slot).text;
  }
  return {};
}

}  // namespace holdfast::dialect
