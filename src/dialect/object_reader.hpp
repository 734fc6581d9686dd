#pragma once
// Reads one object of a dialect file, as strictly as config's reader reads the configuration.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/problems.hpp"
#include "dialect/pointer.hpp"
#include "dialect/template.hpp"

namespace holdfast::dialect {

/// What a value is, for a message.
[[nodiscard]] std::string shown(const Tree& value);

/// All leave `out` as it is where the key is absent or wrong; what is wrong is reported.
class ObjectReader {
 public:
  /// What is no object is reported, and read as an empty one.
  ObjectReader(const Tree& tree, std::string place, config::Problems& problems);

  /// Null if absent.
  [[nodiscard]] const Tree* find(const char* key);
  /// Null if absent, which is reported.
  [[nodiscard]] const Tree* required(const char* key);
  [[nodiscard]] std::string place(const std::string& key) const;

  void text(const char* key, std::string& out, std::size_t longest = 1000);
  /// A text or a list of texts.
  void texts(const char* key, std::vector<std::string>& out);
  void flag(const char* key, bool& out);
  void number(const char* key, std::uint64_t& out, std::uint64_t low, std::uint64_t high);
  void number(const char* key, std::uint32_t& out, std::uint32_t low, std::uint32_t high);
  /// False if absent or none of them.
  bool choice(const char* key, std::size_t& out, std::span<const std::string_view> words);
  template <class Enum>
  void choice(const char* key, Enum& out, std::span<const std::string_view> words) {
    std::size_t index = 0;
    if (choice(key, index, words)) out = static_cast<Enum>(index);
  }
  void pointer(const char* key, PointerTree& tree, Slot& out);

  void wrong(const std::string& key, const std::string& value, const std::string& allowed);
  config::Problems& problems() { return problems_; }
  /// Reports the keys that nobody asked for. Call once, last.
  void finish();

 private:
  static const Tree& no_members();

  const Tree& tree_;
  std::string place_;
  config::Problems& problems_;
  std::vector<std::string> known_;
};

}  // namespace holdfast::dialect
