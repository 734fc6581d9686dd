#pragma once
// One pass over a message that finds what the pointers of a dialect name.

#include <simdjson.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dialect/pointer.hpp"
#include "holdfast/dialect/act.hpp"
#include "holdfast/dialect/scratch.hpp"

namespace holdfast::dialect {

struct Value {
  enum class Type : std::uint8_t { object, array, string, number, boolean, null };
  Type type = Type::null;
  Span raw;               ///< strings with their quotes; objects and arrays only where their text is wanted
  std::string_view text;  ///< strings without quotes and escapes, other scalars as they stand there
  std::array<std::uint32_t, most_stars> index{};  ///< which element each "*" of the pointer stands for

  [[nodiscard]] bool is_scalar() const noexcept { return type != Type::object && type != Type::array; }
};

/// What reading keeps from one message to the next.
struct ScratchMemory {
  simdjson::ondemand::parser parser;
  simdjson::ondemand::parser canonical_parser;
  std::vector<char> bytes;  ///< the message with the room behind it that the parser needs
  std::size_t message_bytes = 0;
  std::vector<std::vector<Value>> values;  ///< per slot, in the order of the message
  std::vector<Slot> found;                 ///< the slots that have any
  std::string text;                        ///< composed names; keys point into it
  std::vector<ChannelKey> keys;
  std::string question;
  std::string note;

  /// The first value, or null.
  [[nodiscard]] const Value* first(Slot slot) const noexcept {
    return values[slot].empty() ? nullptr : values[slot].data();
  }
};

/// Whose message: a client's is looked at as a whole (it may be forwarded, and another library than ours will
/// read it), the source's only as far as the rules go.
enum class Author : std::uint8_t { client, source };

enum class Walked : std::uint8_t {
  fine,
  broken,          ///< no JSON, nested too deep, a name twice (or differing in case only, of a client)
  other_document,  ///< neither object nor array
};

inline constexpr std::size_t most_nesting = 64;  ///< of clients' messages

[[nodiscard]] Walked walk(std::string_view message, const PointerTree& tree, Author author,
                          ScratchMemory& memory);

}  // namespace holdfast::dialect
