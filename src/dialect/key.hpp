#pragma once
// Names of channels from values of a message: "book|{/params/symbol/*}".

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dialect/walk.hpp"

namespace holdfast::dialect {

struct KeyLimits {
  std::size_t most = 0;     ///< names
  std::size_t longest = 0;  ///< bytes of a name; without a lane
};

class KeyTemplate {
 public:
  /// A bare pointer is itself in braces. Nothing if it is none; `why` then says what is allowed. "{/a=x}"
  /// takes x where there is no /a, "{/a:json}" the value's canonical text, "{/a:lower}" ASCII letters in
  /// lower case.
  [[nodiscard]] static std::optional<KeyTemplate> compile(std::string_view text, PointerTree& tree,
                                                          std::string& why);

  /// Every name that the values give, in order, behind what `memory.text` has; `ends` gets where each ends.
  /// Pointers that share a "*" stand for the same element, others are combined each with each. Fault::none
  /// also where there is no value at all.
  Fault append(const PointerTree& tree, char separator, KeyLimits limits, ScratchMemory& memory,
               std::vector<std::size_t>& ends) const;

  /// The one name, without a copy where it is one string; empty where a value is missing or unusable.
  [[nodiscard]] std::string_view only(char separator, ScratchMemory& memory) const;

  [[nodiscard]] bool is_one_json_value() const noexcept;
  [[nodiscard]] bool has_star(const PointerTree& tree) const noexcept;
  /// The first pointer, for messages; "" if there is none.
  [[nodiscard]] std::string_view first_pointer(const PointerTree& tree) const noexcept;

 private:
  enum class As : std::uint8_t { text, lower, json };
  struct Part {
    std::string literal;  ///< before the value
    Slot slot = no_slot;  ///< none: only the literal
    As as = As::text;
    std::optional<std::string> otherwise;
  };
  struct Building;

  static bool append_value(const Part& part, const Value& value, char separator, ScratchMemory& memory);
  static Fault build(Building& building, std::size_t part);

  std::vector<Part> parts_;
};

}  // namespace holdfast::dialect
