#pragma once
// JSON pointers (RFC 6901) with "*" for each element of an array, and the tree that finds all of a dialect's
// pointers in one pass over a message.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::dialect {

/// Index of a pointer in its tree.
using Slot = std::uint16_t;
using NodeIndex = std::uint16_t;
inline constexpr Slot no_slot = 0xffff;
inline constexpr NodeIndex no_node = 0xffff;
inline constexpr NodeIndex root_node = 0;
inline constexpr std::size_t most_stars = 2;
inline constexpr std::size_t most_slots = 500;
inline constexpr std::size_t most_children = 64;

class PointerTree {
 public:
  struct Child {
    std::string name;
    NodeIndex node = no_node;
    std::size_t index = no_index;  ///< as which element of an array; no_index: only a member of an object
  };
  static constexpr std::size_t no_index = static_cast<std::size_t>(-1);

  struct Node {
    std::vector<Child> children;
    NodeIndex star = no_node;
    Slot slot = no_slot;
    bool wants_text = false;  ///< of objects and arrays: their bytes are asked for, not only their presence

    [[nodiscard]] bool is_leaf() const noexcept { return children.empty() && star == no_node; }
  };

  /// The pointers' text and its stars: two pointers that share a "*" mean the same element by it.
  struct Pointer {
    std::string text;
    std::vector<NodeIndex> stars;
    NodeIndex node = root_node;
  };

  PointerTree();

  /// Nothing if `pointer` is none; `why` then says what is allowed ("must …"). "" is the whole message.
  [[nodiscard]] std::optional<Slot> add(std::string_view pointer, std::string& why);
  void want_text(Slot slot) { nodes_[pointers_[slot].node].wants_text = true; }

  [[nodiscard]] const Node& node(NodeIndex index) const noexcept { return nodes_[index]; }
  [[nodiscard]] const Pointer& pointer(Slot slot) const noexcept { return pointers_[slot]; }
  [[nodiscard]] std::size_t slots() const noexcept { return pointers_.size(); }
  /// What can't be told apart in one pass, or "": a "*" beside a number with more behind it.
  [[nodiscard]] std::string clash() const;
  /// Rules look inside of it, too.
  [[nodiscard]] bool has_inside(Slot slot) const noexcept { return !nodes_[pointers_[slot].node].is_leaf(); }

 private:
  NodeIndex child_of(NodeIndex parent, const std::string& name);
  NodeIndex star_of(NodeIndex parent);

  std::vector<Node> nodes_;
  std::vector<Pointer> pointers_;
};

}  // namespace holdfast::dialect
