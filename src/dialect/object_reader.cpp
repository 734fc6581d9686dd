#include "dialect/object_reader.hpp"

#include <algorithm>

namespace holdfast::dialect {
namespace {

std::string list_of(std::span<const std::string_view> words) {
  std::string out;
  for (const std::string_view word : words) out += (out.empty() ? "\"" : ", \"") + std::string(word) + "\"";
  return out;
}

}  // namespace

std::string shown(const Tree& value) {
  if (value.is_string()) return config::quote(value.get_ref<const std::string&>());
  if (value.is_object()) return value.empty() ? "{}" : "an object";
  if (value.is_array()) return value.empty() ? "[]" : "a list of " + std::to_string(value.size());
  return value.dump();
}

const Tree& ObjectReader::no_members() {
  static const Tree none = Tree::object();
  return none;
}

ObjectReader::ObjectReader(const Tree& tree, std::string place, config::Problems& problems)
    : tree_(tree.is_object() ? tree : no_members()), place_(std::move(place)), problems_(problems) {
  if (!tree.is_object()) problems_.error(place_, "is " + shown(tree) + ", must be an object");
}

std::string ObjectReader::place(const std::string& key) const {
  return place_.empty() ? key : place_ + "." + key;
}

void ObjectReader::wrong(const std::string& key, const std::string& value, const std::string& allowed) {
  problems_.error(place(key), "is " + value + ", " + allowed);
}

const Tree* ObjectReader::find(const char* key) {
  known_.emplace_back(key);
  const auto found = tree_.find(key);
  return found == tree_.end() ? nullptr : &*found;
}

const Tree* ObjectReader::required(const char* key) {
  const Tree* const found = find(key);
  if (found == nullptr && !problems_.has(place_)) problems_.error(place(key), "is missing");
  return found;
}

void ObjectReader::text(const char* key, std::string& out, std::size_t longest) {
  const Tree* const found = find(key);
  if (found == nullptr) return;
  if (!found->is_string()) return wrong(key, shown(*found), "must be a string");
  const auto& text = found->get_ref<const std::string&>();
  if (text.empty() || text.size() > longest)
    return wrong(key, shown(*found), "must have 1 to " + std::to_string(longest) + " bytes");
  out = text;
}

void ObjectReader::texts(const char* key, std::vector<std::string>& out) {
  const Tree* const found = find(key);
  if (found == nullptr) return;
  if (found->is_string()) {
    out = {found->get<std::string>()};
    return;
  }
  const bool good = found->is_array() && !found->empty() && found->size() <= 1000 &&
                    std::ranges::all_of(*found, [](const Tree& each) { return each.is_string(); });
  if (!good) return wrong(key, shown(*found), "must be a string or a list of 1 to 1000 strings");
  out = found->get<std::vector<std::string>>();
}

void ObjectReader::flag(const char* key, bool& out) {
  const Tree* const found = find(key);
  if (found == nullptr) return;
  if (!found->is_boolean()) return wrong(key, shown(*found), "must be true or false");
  out = found->get<bool>();
}

void ObjectReader::number(const char* key, std::uint64_t& out, std::uint64_t low, std::uint64_t high) {
  const Tree* const found = find(key);
  if (found == nullptr) return;
  const bool good = found->is_number_unsigned() && found->get<std::uint64_t>() >= low &&
                    found->get<std::uint64_t>() <= high;
  if (!good)
    return wrong(key, shown(*found),
                 "must be an integer from " + std::to_string(low) + " to " + std::to_string(high));
  out = found->get<std::uint64_t>();
}

void ObjectReader::number(const char* key, std::uint32_t& out, std::uint32_t low, std::uint32_t high) {
  std::uint64_t wide = out;
  number(key, wide, std::uint64_t{low}, std::uint64_t{high});
  out = static_cast<std::uint32_t>(wide);
}

bool ObjectReader::choice(const char* key, std::size_t& out, std::span<const std::string_view> words) {
  const Tree* const found = find(key);
  if (found == nullptr) return false;
  const auto word = found->is_string()
                        ? std::ranges::find(words, std::string_view(found->get_ref<const std::string&>()))
                        : words.end();
  if (word != words.end()) {
    out = static_cast<std::size_t>(word - words.begin());
    return true;
  }
  std::string hint;
  if (found->is_string())
    hint = config::did_you_mean(found->get_ref<const std::string&>(), {words.begin(), words.end()});
  wrong(key, shown(*found), "must be one of " + list_of(words) + hint);
  return false;
}

void ObjectReader::pointer(const char* key, PointerTree& tree, Slot& out) {
  const Tree* const found = find(key);
  if (found == nullptr) return;
  if (!found->is_string()) return wrong(key, shown(*found), "must be a JSON pointer");
  std::string why;
  const auto slot = tree.add(found->get_ref<const std::string&>(), why);
  if (!slot) return wrong(key, shown(*found), why);
  if (!tree.pointer(*slot).stars.empty())
    return wrong(key, shown(*found), "must name one value, without \"*\"");
  out = *slot;
}

void ObjectReader::finish() {
  for (const auto& [key, value] : tree_.items()) {
    if (std::ranges::find(known_, key) != known_.end()) continue;
    const bool plain = std::ranges::all_of(key, [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; }) &&
                       key.size() <= 64;
    std::string hint = config::did_you_mean(key, known_);
    if (hint.empty()) {
      hint = "; known here:";
      for (const std::string& known : known_) hint += " " + known;
    }
    problems_.error(place(plain ? key : config::quote(key)), "is not a known key" + hint);
  }
}

}  // namespace holdfast::dialect
