#pragma once
// JSON with "$names" in its strings, compiled; what is rendered is valid JSON whatever the values hold.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/problems.hpp"

namespace holdfast::dialect {

using Tree = nlohmann::ordered_json;

enum class Name : std::uint8_t {
  id,     ///< raw JSON; absent: its member is left out
  key,    ///< the channel
  part,   ///< "$1" … "$9" of the channel's name
  keys,   ///< all of them, a list
  all,    ///< all of the client's, a list
  group,  ///< "$group(keys)", "$group(all)": one `group` template per first part, a list
  parts,  ///< "$2[]": of all keys of a group or of a command, a list
  sub_id,
  code,  ///< raw JSON; absent: its member is left out
  message,
  count,
  time,    ///< RFC 3339 in UTC with microseconds
  number,  ///< ours
};

/// Which names have values where a template is used.
enum class Use : std::uint8_t { reply, command, ping, group };

class Template;

/// The values of names. Views and spans outlive the rendering.
struct Values {
  std::string_view id;
  std::string_view key;
  std::span<const std::string_view> keys;
  std::span<const std::string_view> all;
  std::string_view sub_id;
  std::string_view code;
  std::string_view message;
  std::uint64_t count = 0;
  std::uint64_t unix_us = 0;
  std::uint64_t number = 0;
  char separator = '|';
  const Template* group = nullptr;
};

class Template {
 public:
  /// Problems go to `problems` with the path `place` of the template in its file.
  [[nodiscard]] static Template compile(const Tree& tree, Use use, const std::string& place,
                                        config::Problems& problems);

  void render(const Values& values, std::string& out) const;

  [[nodiscard]] bool uses(Name name) const noexcept;
  /// The parts ("$1") that stand for one value, so that keys of one rendering must have the same.
  [[nodiscard]] std::set<unsigned> single_parts() const;
  /// A name's text is put there as JSON ("$key:json").
  [[nodiscard]] bool takes_json() const noexcept;

 private:
  enum class Kind : std::uint8_t { literal, value, text, object, list };
  enum class As : std::uint8_t { string, number, json };
  struct Placeholder {
    Name name = Name::id;
    unsigned part = 0;
    bool of_all = false;  // $group(all)
    As as = As::string;
    std::optional<std::string> otherwise;  // JSON
  };
  struct Piece {
    std::string literal;
    std::optional<Placeholder> placeholder;
  };
  friend class TemplateCompiler;

  /// False: absent, and nothing was written.
  bool write(const Values& values, std::string& out) const;
  bool write_children(const Values& values, std::string& out) const;
  template <class Do>
  void each_placeholder(const Do& act) const;
  static bool write_value(const Placeholder& placeholder, const Values& values, std::string& out);
  static bool write_list(const Placeholder& placeholder, const Values& values, std::string& out);
  static void write_groups(std::span<const std::string_view> keys, const Values& values, std::string& out);
  static std::string text_of(const Placeholder& placeholder, const Values& values);

  Kind kind_ = Kind::literal;
  std::string literal_ = "null";    // literal: JSON
  std::vector<Piece> pieces_;       // value: one with a placeholder; text: all
  std::vector<std::string> names_;  // object: JSON strings, parallel to children_
  std::vector<Template> children_;
};

}  // namespace holdfast::dialect
