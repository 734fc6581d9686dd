#pragma once
// One description of the configuration (shape.cpp) serves two visitors: the reader fills the
// structs from JSON, the schema writer turns the same lines into a JSON Schema. Adding a key is one
// line in shape.cpp; both sides and the tests follow.

#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast::config {

enum class Presence : std::uint8_t { optional, required };

struct Key {
  const char* name;
  Presence presence = Presence::optional;
};

struct NumberRange {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  const char* word_for_zero = nullptr;  // a string that may stand for 0, such as "auto"
};

enum class Zero : std::uint8_t { within_range, means_off };

struct SizeRange {
  std::uint64_t low = 0;
  std::uint64_t high = std::numeric_limits<std::uint64_t>::max();
};

struct DurationRange {
  std::chrono::milliseconds low{0};
  std::chrono::milliseconds high{0};
  Zero zero = Zero::within_range;  // means_off: 0 is allowed although low is above it
};

struct Count {
  std::size_t low = 0;
  std::size_t high = 0;
};

/// Says what is wrong with a text ("must …"), or nothing.
using TextCheck = std::function<std::string(const std::string&)>;

class Visitor {
 public:
  using Shape = std::function<void(Visitor&)>;

  virtual ~Visitor() = default;

  /// Each takes the present value of the field as the default and leaves it if the key is absent.
  virtual void text(Key key, std::string& value, const TextCheck& check) = 0;
  /// A text that is mostly one of `words`; what else it may be `pattern` tells editors and `check` decides.
  virtual void word_or_text(Key key, std::string& value, std::span<const std::string_view> words,
                            const char* pattern, const TextCheck& check) = 0;
  virtual void texts(Key key, std::vector<std::string>& value, Count count, const TextCheck& check) = 0;
  /// An object of texts, as fields of an HTTP head; `count` of them at most.
  virtual void fields(Key key, std::vector<std::pair<std::string, std::string>>& value, std::size_t count,
                      const TextCheck& check_name, const TextCheck& check_value) = 0;
  virtual void number(Key key, std::uint64_t& value, NumberRange range) = 0;
  /// A list without repetitions, each as number().
  virtual void numbers(Key key, std::vector<std::uint64_t>& value, Count count, NumberRange range) = 0;
  virtual void size(Key key, std::uint64_t& value, SizeRange range) = 0;
  virtual void duration(Key key, std::chrono::milliseconds& value, DurationRange range) = 0;
  virtual void flag(Key key, bool& value) = 0;
  virtual void choice(Key key, std::size_t& index, std::span<const std::string_view> words) = 0;
  /// A list of words without repetitions; it may be empty.
  virtual void choices(Key key, std::vector<std::size_t>& indices,
                       std::span<const std::string_view> words) = 0;

  /// `shape` describes the inside; it is called if the key is present.
  virtual void object(Key key, const Shape& shape) = 0;
  /// As object(), where the same shape stands at `pointer` in the schema.
  virtual void object_like(Key key, const char* pointer, const Shape& shape) = 0;
  /// As object(); one of `words` may stand in its place: then `word` is its index, and the fields keep the
  /// values that they have already.
  virtual void object_or_word(Key key, std::size_t& word, std::span<const std::string_view> words,
                              const Shape& shape) = 0;
  /// As object(), once per element, in order.
  virtual void list(Key key, Count count, const Shape& shape) = 0;

  /// Keys of the documented format that this version does not have: refused by their own message.
  virtual void later(std::initializer_list<const char*> keys) = 0;
  /// A key for editors, without meaning for us.
  virtual void ignored(const char* key) = 0;
};

}  // namespace holdfast::config
