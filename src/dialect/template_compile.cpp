// From the tree of a dialect file to a Template.
#include <algorithm>
#include <array>

#include "dialect/template.hpp"
#include "dialect/text.hpp"

namespace holdfast::dialect {
namespace {

using config::Problems;

struct Known {
  std::string_view word;
  Name name;
};

constexpr std::array<Known, 10> known_words{{{"id", Name::id},
                                             {"key", Name::key},
                                             {"keys", Name::keys},
                                             {"all", Name::all},
                                             {"subid", Name::sub_id},
                                             {"code", Name::code},
                                             {"message", Name::message},
                                             {"count", Name::count},
                                             {"time", Name::time},
                                             {"n", Name::number}}};

bool is_list(Name name) {
  return name == Name::keys || name == Name::all || name == Name::group || name == Name::parts;
}

bool has_value(Name name, Use use) {
  switch (use) {
    case Use::reply:
      return name != Name::number && name != Name::parts;
    case Use::command:
      return name == Name::number || name == Name::key || name == Name::part || name == Name::keys ||
             name == Name::group || name == Name::parts || name == Name::sub_id;
    case Use::ping:
      return name == Name::number;
    case Use::group:
      return name == Name::part || name == Name::parts;
  }
  return false;
}

std::string allowed(Use use) {
  std::string out = "must be one of";
  for (const Known& known : known_words) {
    if (has_value(known.name, use)) out += " $" + std::string(known.word);
  }
  if (has_value(Name::part, use)) out += " $1 … $9";
  if (has_value(Name::parts, use)) out += " $1[] … $9[]";
  if (has_value(Name::group, use)) out += " $group(keys)";
  if (use == Use::reply) out += " $group(all)";
  return out + " (\"$$\" for a dollar sign)";
}

bool is_word(char c) {
  return c >= 'a' && c <= 'z';
}

bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

}  // namespace

class TemplateCompiler {
 public:
  TemplateCompiler(Use use, Problems& problems) : use_(use), problems_(problems) {}

  Template compile(const Tree& tree, const std::string& place) {
    Template out;
    if (tree.is_object()) {
      out.kind_ = Template::Kind::object;
      for (const auto& [name, child] : tree.items()) {
        std::string quoted;
        append_string(name, quoted);
        out.names_.push_back(std::move(quoted));
        out.children_.push_back(compile(child, place + "." + name));
      }
    } else if (tree.is_array()) {
      out.kind_ = Template::Kind::list;
      std::size_t n = 0;
      for (const Tree& child : tree)
        out.children_.push_back(compile(child, place + "[" + std::to_string(n++) + "]"));
    } else if (tree.is_string()) {
      string(tree.get_ref<const std::string&>(), place, out);
    } else {
      out.literal_ = tree.dump();
    }
    return out;
  }

 private:
  void string(const std::string& whole, const std::string& place, Template& out) {
    std::string_view text = whole;
    std::vector<Template::Piece> pieces;
    Template::Piece piece;
    while (!text.empty()) {
      const std::size_t dollar = std::min(text.find('$'), text.size());
      piece.literal += text.substr(0, dollar);
      text.remove_prefix(dollar);
      if (text.empty()) break;
      if (take(text, "$$")) {
        piece.literal += '$';
        continue;
      }
      piece.placeholder = placeholder(text);
      if (!piece.placeholder) return wrong(place, whole, allowed(use_));
      pieces.push_back(std::move(piece));
      piece = {};
    }
    if (pieces.empty()) {
      out.literal_.clear();
      return append_string(piece.literal, out.literal_);
    }
    if (pieces.size() == 1 && pieces[0].literal.empty() && piece.literal.empty()) {
      out.kind_ = Template::Kind::value;
    } else {
      out.kind_ = Template::Kind::text;
      pieces.push_back(std::move(piece));
      if (const std::string why = unfit(pieces); !why.empty()) return wrong(place, whole, why);
    }
    out.pieces_ = std::move(pieces);
  }

  // Within a text a name stands for text.
  static std::string unfit(const std::vector<Template::Piece>& pieces) {
    for (const Template::Piece& piece : pieces) {
      if (!piece.placeholder) continue;
      if (is_list(piece.placeholder->name)) return "must have a list alone in its string";
      if (piece.placeholder->as != Template::As::string || piece.placeholder->otherwise)
        return "must have a name with \":json\", \":number\" or \"=\" alone in its string";
    }
    return {};
  }

  // Behind a "$". "=" and what follows takes the rest of the string.
  std::optional<Template::Placeholder> placeholder(std::string_view& text) const {
    text.remove_prefix(1);
    Template::Placeholder out;
    if (!name(text, out) || !has_value(out.name, use_)) return std::nullopt;
    const bool of_key = out.name == Name::key || out.name == Name::part;
    if (take(text, ":json")) out.as = Template::As::json;
    if (take(text, ":number")) out.as = Template::As::number;
    if (out.as != Template::As::string && !of_key) return std::nullopt;
    if (take(text, "=")) {
      const Tree value = Tree::parse(text, nullptr, false);
      if (value.is_discarded()) return std::nullopt;
      out.otherwise = value.dump();
      text = {};
    }
    return out;
  }

  static bool name(std::string_view& text, Template::Placeholder& out) {
    if (!text.empty() && text[0] >= '1' && text[0] <= '9') {
      out.part = static_cast<unsigned>(text[0] - '0');
      text.remove_prefix(1);
      out.name = take(text, "[]") ? Name::parts : Name::part;
      return true;
    }
    out.of_all = take(text, "group(all)");
    if (out.of_all || take(text, "group(keys)")) {
      out.name = Name::group;
      return true;
    }
    const auto length = static_cast<std::size_t>(std::ranges::find_if_not(text, is_word) - text.begin());
    const auto found = std::ranges::find(known_words, text.substr(0, length), &Known::word);
    if (found == known_words.end()) return false;
    out.name = found->name;
    text.remove_prefix(length);
    return true;
  }

  void wrong(const std::string& place, const std::string& text, const std::string& why) {
    problems_.error(place, "is " + config::quote(text) + ", " + why);
  }

  Use use_;
  Problems& problems_;
};

Template Template::compile(const Tree& tree, Use use, const std::string& place, Problems& problems) {
  return TemplateCompiler(use, problems).compile(tree, place);
}

}  // namespace holdfast::dialect
