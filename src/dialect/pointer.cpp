#include "dialect/pointer.hpp"

#include <algorithm>
#include <charconv>

namespace holdfast::dialect {
namespace {

constexpr std::size_t most_tokens = 16;
constexpr const char* allowed =
    "must be a JSON pointer: each part behind a \"/\", \"~1\" for a \"/\" and \"~0\" for a \"~\" in a name, "
    "\"*\" for each element (twice at most), at most 16 parts";

// Nothing if there is a "~" that is neither of the two escapes.
std::optional<std::string> unescape(std::string_view token) {
  std::string out;
  for (std::size_t i = 0; i < token.size(); ++i) {
    if (token[i] != '~') {
      out += token[i];
      continue;
    }
    if (i + 1 == token.size() || (token[i + 1] != '0' && token[i + 1] != '1')) return std::nullopt;
    out += token[++i] == '0' ? '~' : '/';
  }
  return out;
}

std::optional<std::vector<std::string>> tokens_of(std::string_view pointer) {
  std::vector<std::string> out;
  while (!pointer.empty()) {
    if (pointer[0] != '/') return std::nullopt;
    pointer.remove_prefix(1);
    const std::size_t length = std::min(pointer.find('/'), pointer.size());
    auto token = unescape(pointer.substr(0, length));
    if (!token || out.size() == most_tokens) return std::nullopt;
    out.push_back(*std::move(token));
    pointer.remove_prefix(length);
  }
  if (std::ranges::count(out, "*") > static_cast<std::ptrdiff_t>(most_stars)) return std::nullopt;
  return out;
}

std::size_t index_of(const std::string& name) {
  std::size_t value = 0;
  const char* const end = name.data() + name.size();
  const auto read = std::from_chars(name.data(), end, value);
  const bool whole = read.ec == std::errc{} && read.ptr == end && (name.size() == 1 || name[0] != '0');
  return whole ? value : PointerTree::no_index;
}

}  // namespace

PointerTree::PointerTree() : nodes_(1) {}

NodeIndex PointerTree::child_of(NodeIndex parent, const std::string& name) {
  for (const Child& child : nodes_[parent].children) {
    if (child.name == name) return child.node;
  }
  const auto index = static_cast<NodeIndex>(nodes_.size());
  nodes_.emplace_back();
  nodes_[parent].children.push_back({name, index, index_of(name)});
  return index;
}

NodeIndex PointerTree::star_of(NodeIndex parent) {
  if (nodes_[parent].star == no_node) {
    const auto index = static_cast<NodeIndex>(nodes_.size());
    nodes_.emplace_back();
    nodes_[parent].star = index;
  }
  return nodes_[parent].star;
}

std::optional<Slot> PointerTree::add(std::string_view pointer, std::string& why) {
  const auto tokens = tokens_of(pointer);
  why = tokens ? "" : allowed;
  if (!tokens) return std::nullopt;
  Pointer made{std::string(pointer), {}, root_node};
  for (const std::string& token : *tokens) {
    if (nodes_[made.node].children.size() == most_children) {
      why = "must not be more than " + std::to_string(most_children) + " different names at one place";
      return std::nullopt;
    }
    made.node = token == "*" ? star_of(made.node) : child_of(made.node, token);
    if (token == "*") made.stars.push_back(made.node);
  }
  Node& node = nodes_[made.node];
  if (node.slot != no_slot) return node.slot;
  if (pointers_.size() == most_slots) {
    why = "must not be more than " + std::to_string(most_slots) + " different pointers in one dialect";
    return std::nullopt;
  }
  node.slot = static_cast<Slot>(pointers_.size());
  pointers_.push_back(std::move(made));
  return node.slot;
}

std::string PointerTree::clash() const {
  for (const Pointer& pointer : pointers_) {
    NodeIndex parent = root_node;
    const auto tokens = tokens_of(pointer.text).value_or(std::vector<std::string>{});
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const Node& node = nodes_[parent];
      if (tokens[i] == "*") {
        parent = node.star;
        continue;
      }
      const auto child = std::ranges::find(node.children, tokens[i], &Child::name);
      const bool beside_star = node.star != no_node && child->index != no_index;
      if (beside_star && i + 1 < tokens.size()) return pointer.text;
      parent = child->node;
    }
  }
  return {};
}

}  // namespace holdfast::dialect
