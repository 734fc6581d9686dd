#include "dialect/template.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <map>

#include "dialect/text.hpp"

namespace holdfast::dialect {
namespace {

std::string rfc3339(std::uint64_t unix_us) {
  const auto seconds = static_cast<std::time_t>(unix_us / 1'000'000);
  std::tm parts{};
  if (gmtime_r(&seconds, &parts) == nullptr) return {};
  std::array<char, 32> date{};
  const std::size_t length = std::strftime(date.data(), date.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  std::array<char, 16> fraction{};
  std::snprintf(fraction.data(), fraction.size(), ".%06uZ", static_cast<unsigned>(unix_us % 1'000'000));
  return std::string(date.data(), length) + fraction.data();
}

void append_list(std::span<const std::string_view> texts, std::string& out) {
  out += '[';
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (i > 0) out += ',';
    append_string(texts[i], out);
  }
  out += ']';
}

}  // namespace

void Template::render(const Values& values, std::string& out) const {
  if (!write(values, out)) out += "null";
}

bool Template::write(const Values& values, std::string& out) const {
  switch (kind_) {
    case Kind::literal:
      out += literal_;
      return true;
    case Kind::value:
      return write_value(*pieces_[0].placeholder, values, out);
    case Kind::text:
      out += '"';
      for (const Piece& piece : pieces_) {
        append_escaped(piece.literal, out);
        if (piece.placeholder) append_escaped(text_of(*piece.placeholder, values), out);
      }
      out += '"';
      return true;
    case Kind::object:
    case Kind::list:
      return write_children(values, out);
  }
  return false;
}

bool Template::write_children(const Values& values, std::string& out) const {
  out += kind_ == Kind::object ? '{' : '[';
  bool first = true;
  for (std::size_t i = 0; i < children_.size(); ++i) {
    const std::size_t before = out.size();
    if (!first) out += ',';
    if (kind_ == Kind::object) out += names_[i] + ":";
    if (children_[i].write(values, out)) {
      first = false;
    } else {
      out.resize(before);
    }
  }
  out += kind_ == Kind::object ? '}' : ']';
  return true;
}

std::string Template::text_of(const Placeholder& placeholder, const Values& values) {
  switch (placeholder.name) {
    case Name::id:
      return std::string(values.id);
    case Name::key:
      return std::string(values.key);
    case Name::part:
      return std::string(part_of(values.key, values.separator, placeholder.part));
    case Name::sub_id:
      return std::string(values.sub_id);
    case Name::code:
      return std::string(values.code);
    case Name::message:
      return std::string(values.message);
    case Name::count:
      return std::to_string(values.count);
    case Name::time:
      return rfc3339(values.unix_us);
    case Name::number:
      return std::to_string(values.number);
    default:
      return {};
  }
}

bool Template::write_value(const Placeholder& placeholder, const Values& values, std::string& out) {
  const std::string text = text_of(placeholder, values);
  switch (placeholder.name) {
    case Name::keys:
    case Name::all:
    case Name::group:
    case Name::parts:
      return write_list(placeholder, values, out);
    case Name::id:
    case Name::code:
      if (is_scalar(text)) {
        out += text;
      } else if (placeholder.otherwise) {
        out += *placeholder.otherwise;
      } else {
        return false;
      }
      return true;
    case Name::count:
    case Name::number:
      out += text;
      return true;
    default:
      break;
  }
  if (text.empty() && placeholder.otherwise) {
    out += *placeholder.otherwise;
  } else if (text.empty() && placeholder.name == Name::part && values.key.empty()) {
    return false;  // a reply that is about no channel
  } else if (placeholder.as == As::json && text.empty()) {
    out += "null";
  } else if (placeholder.as == As::json || (placeholder.as == As::number && is_number(text))) {
    out += text;
  } else {
    append_string(text, out);
  }
  return true;
}

bool Template::write_list(const Placeholder& placeholder, const Values& values, std::string& out) {
  const bool of_all = placeholder.name == Name::all || placeholder.of_all;
  const auto keys = of_all ? values.all : values.keys;
  if (placeholder.name == Name::group) {
    write_groups(keys, values, out);
  } else if (placeholder.name == Name::parts) {
    std::vector<std::string_view> parts;
    for (const std::string_view key : keys) parts.push_back(part_of(key, values.separator, placeholder.part));
    append_list(parts, out);
  } else {
    append_list(keys, out);
  }
  return true;
}

// In the order in which the first parts come.
void Template::write_groups(std::span<const std::string_view> keys, const Values& values, std::string& out) {
  std::vector<std::vector<std::string_view>> groups;
  std::map<std::string_view, std::size_t> known;
  for (const std::string_view key : keys) {
    const auto [place, is_new] = known.try_emplace(part_of(key, values.separator, 1), groups.size());
    if (is_new) groups.emplace_back();
    groups[place->second].push_back(key);
  }
  out += '[';
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (i > 0) out += ',';
    Values inner = values;
    inner.key = groups[i].front();
    inner.keys = groups[i];
    values.group->render(inner, out);
  }
  out += ']';
}

template <class Do>
void Template::each_placeholder(const Do& act) const {
  for (const Piece& piece : pieces_) {
    if (piece.placeholder) act(*piece.placeholder);
  }
  for (const Template& child : children_) child.each_placeholder(act);
}

bool Template::uses(Name name) const noexcept {
  bool found = false;
  each_placeholder([&](const Placeholder& each) { found = found || each.name == name; });
  return found;
}

std::set<unsigned> Template::single_parts() const {
  std::set<unsigned> out;
  each_placeholder([&](const Placeholder& each) {
    if (each.name == Name::part) out.insert(each.part);
  });
  return out;
}

bool Template::takes_json() const noexcept {
  bool found = false;
  each_placeholder([&](const Placeholder& each) { found = found || each.as == As::json; });
  return found;
}

}  // namespace holdfast::dialect
