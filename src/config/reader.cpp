#include "config/reader.hpp"

#include <algorithm>
#include <utility>

#include "config/units.hpp"

namespace holdfast::config {
namespace {

using nlohmann::json;

std::string shown(const json& value) {
  if (value.is_string()) return quote(value.get_ref<const std::string&>());
  if (value.is_object()) return value.empty() ? "{}" : "an object";
  if (value.is_array()) return value.empty() ? "[]" : "a list of " + std::to_string(value.size());
  return value.dump();
}

std::string list_of(std::span<const std::string_view> words) {
  std::string out;
  for (const std::string_view word : words) out += (out.empty() ? "\"" : ", \"") + std::string(word) + "\"";
  return out;
}

std::string allowed_durations(DurationRange range) {
  std::string out =
      "must be a duration from " + print_duration(range.low) + " to " + print_duration(range.high);
  if (range.zero == Zero::means_off) out += " or 0";
  return out + ", such as \"250ms\", \"10s\", \"5m\" or \"1h\"";
}

std::string allowed_numbers(NumberRange range) {
  std::string out =
      "must be an integer from " + std::to_string(range.low) + " to " + std::to_string(range.high);
  if (range.word_for_zero != nullptr) out += " or \"" + std::string(range.word_for_zero) + "\"";
  return out;
}

std::string allowed_sizes(SizeRange range) {
  const std::string examples = "such as 4096, \"64KiB\", \"1MiB\" or \"2GiB\"";
  if (range.low == 0 && range.high == SizeRange{}.high) return "must be bytes, " + examples;
  return "must be bytes from " + print_size(range.low) + " to " + print_size(range.high) + ", " + examples;
}

std::string allowed_count(Count count) {
  return "must be a list of " + std::to_string(count.low) + " to " + std::to_string(count.high);
}

constexpr const char* given_twice = "which is given twice";

// Fills `out` with the elements that `read` takes; `repeated` hears of those that were there before.
template <class Item, class Read, class Repeated>
void read_set(const json& list, std::vector<Item>& out, Read read, Repeated repeated) {
  out.clear();
  for (std::size_t n = 0; n < list.size(); ++n) {
    const std::optional<Item> item = read(list[n], n);
    if (!item) continue;
    if (std::find(out.begin(), out.end(), *item) != out.end()) {
      repeated(list[n], n);
    } else {
      out.push_back(*item);
    }
  }
}

// Integers as JSON has them: 5 and 5.0 are one number to it, but a fraction is a mistake here.
std::optional<std::uint64_t> as_integer(const json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  return value.get<std::uint64_t>();
}

}  // namespace

std::string Reader::place(const char* key) const {
  return path_.empty() ? key : path_ + "." + key;
}

std::string Reader::place(const char* key, std::size_t index) const {
  return place(key) + "[" + std::to_string(index) + "]";
}

const json* Reader::find(Key key) {
  known_.emplace_back(key.name);
  const auto found = tree_.find(key.name);
  if (found != tree_.end()) return &*found;
  if (key.presence == Presence::required) problems_.error(place(key.name), "is missing");
  return nullptr;
}

void Reader::wrong(const std::string& where, const json& value, const std::string& allowed) {
  problems_.error(where, "is " + shown(value) + ", " + allowed);
}

void Reader::text(Key key, std::string& value, const TextCheck& check) {
  const json* found = find(key);
  if (found == nullptr) return;
  if (!found->is_string()) return wrong(place(key.name), *found, "must be a string");
  const auto& text = found->get_ref<const std::string&>();
  // No file or host name has one, and C functions would stop there.
  if (text.find('\0') != std::string::npos) return wrong(place(key.name), *found, "must not contain NUL");
  const std::string why = check ? check(text) : "";
  if (!why.empty()) return wrong(place(key.name), *found, why);
  value = text;
}

void Reader::word_or_text(Key key, std::string& value, std::span<const std::string_view>, const char*,
                          const TextCheck& check) {
  text(key, value, check);
}

void Reader::texts(Key key, std::vector<std::string>& value, Count count, const TextCheck& check) {
  const json* found = find(key);
  if (found == nullptr || !check_array(*found, place(key.name), count)) return;
  value.clear();
  for (std::size_t i = 0; i < found->size(); ++i) {
    const json& item = (*found)[i];
    const std::string where = place(key.name, i);
    if (!item.is_string()) {
      wrong(where, item, "must be a string");
      value.emplace_back();  // keeps the indices of the file
      continue;
    }
    value.push_back(item.get<std::string>());
    const std::string why = check ? check(value.back()) : "";
    if (!why.empty()) wrong(where, item, why);
  }
}

void Reader::fields(Key key, std::vector<std::pair<std::string, std::string>>& value, std::size_t count,
                    const TextCheck& check_name, const TextCheck& check_value) {
  const json* found = find(key);
  if (found == nullptr) return;
  if (!found->is_object() || found->size() > count)
    return wrong(place(key.name), *found, "must be an object of up to " + std::to_string(count) + " strings");
  value.clear();
  for (const auto& [name, item] : found->items()) {
    const std::string where = place(key.name) + "." + quote(name);
    if (!item.is_string()) {
      wrong(where, item, "must be a string");
      continue;
    }
    value.emplace_back(name, item.get<std::string>());
    std::string why = check_name(name);
    if (why.empty()) why = check_value(value.back().second);
    if (!why.empty()) wrong(where, item, why);
  }
}

void Reader::number(Key key, std::uint64_t& value, NumberRange range) {
  const json* found = find(key);
  if (found == nullptr) return;
  if (const auto number = read_number(*found, place(key.name), range)) value = *number;
}

void Reader::numbers(Key key, std::vector<std::uint64_t>& value, Count count, NumberRange range) {
  const json* found = find(key);
  if (found == nullptr || !check_array(*found, place(key.name), count)) return;
  read_set<std::uint64_t>(
      *found, value,
      [&](const json& item, std::size_t n) { return read_number(item, place(key.name, n), range); },
      [&](const json& item, std::size_t n) { wrong(place(key.name, n), item, given_twice); });
}

std::optional<std::uint64_t> Reader::read_number(const json& value, const std::string& where,
                                                 NumberRange range) {
  const bool is_word = range.word_for_zero != nullptr && value.is_string() && value == range.word_for_zero;
  if (is_word) return 0;
  const auto integer = as_integer(value);
  if (integer && *integer >= range.low && *integer <= range.high) return integer;
  wrong(where, value, allowed_numbers(range));
  return std::nullopt;
}

void Reader::size(Key key, std::uint64_t& value, SizeRange range) {
  const json* found = find(key);
  if (found == nullptr) return;
  const auto parsed =
      found->is_string() ? parse_size(found->get_ref<const std::string&>()) : as_integer(*found);
  const bool good = parsed && *parsed >= range.low && *parsed <= range.high;
  if (!good) return wrong(place(key.name), *found, allowed_sizes(range));
  value = *parsed;
}

void Reader::duration(Key key, std::chrono::milliseconds& value, DurationRange range) {
  const json* found = find(key);
  if (found == nullptr) return;
  std::optional<std::chrono::milliseconds> parsed;
  if (found->is_string()) parsed = parse_duration(found->get_ref<const std::string&>());
  // Zero is the one number that needs no unit.
  if (as_integer(*found) == 0U) parsed = std::chrono::milliseconds(0);
  const bool is_off = parsed && parsed->count() == 0 && range.zero == Zero::means_off;
  const bool good = parsed && (is_off || (*parsed >= range.low && *parsed <= range.high));
  if (!good) return wrong(place(key.name), *found, allowed_durations(range));
  value = *parsed;
}

void Reader::flag(Key key, bool& value) {
  const json* found = find(key);
  if (found == nullptr) return;
  if (!found->is_boolean()) return wrong(place(key.name), *found, "must be true or false");
  value = found->get<bool>();
}

void Reader::choice(Key key, std::size_t& index, std::span<const std::string_view> words) {
  const json* found = find(key);
  if (found == nullptr) return;
  if (const auto chosen = read_choice(*found, place(key.name), words)) index = *chosen;
}

void Reader::choices(Key key, std::vector<std::size_t>& indices, std::span<const std::string_view> words) {
  const json* found = find(key);
  if (found == nullptr || !check_array(*found, place(key.name), {0, words.size()})) return;
  read_set<std::size_t>(
      *found, indices,
      [&](const json& item, std::size_t n) { return read_choice(item, place(key.name, n), words); },
      [&](const json& item, std::size_t n) { wrong(place(key.name, n), item, given_twice); });
}

std::optional<std::size_t> Reader::read_choice(const json& value, const std::string& where,
                                               std::span<const std::string_view> words) {
  const std::string allowed = "must be one of " + list_of(words);
  if (!value.is_string()) {
    wrong(where, value, allowed);
    return std::nullopt;
  }
  const auto& text = value.get_ref<const std::string&>();
  const auto word = std::find(words.begin(), words.end(), text);
  if (word != words.end()) return static_cast<std::size_t>(word - words.begin());
  const std::vector<std::string> candidates(words.begin(), words.end());
  wrong(where, value, allowed + did_you_mean(text, candidates));
  return std::nullopt;
}

void Reader::read_object(const json& value, const std::string& where, const Shape& shape) {
  if (!value.is_object()) {
    wrong(where, value, "must be an object");
    // The shape still runs, without input and in silence, so that list elements keep their indices.
    const json nothing = json::object();
    Problems ignored;
    Reader empty(nothing, where, ignored);
    return shape(empty);
  }
  Reader inner(value, where, problems_);
  shape(inner);
  inner.finish();
}

void Reader::object(Key key, const Shape& shape) {
  const json* found = find(key);
  if (found != nullptr) read_object(*found, place(key.name), shape);
}

void Reader::object_like(Key key, const char*, const Shape& shape) {
  object(key, shape);
}

void Reader::object_or_word(Key key, std::size_t& word, std::span<const std::string_view> words,
                            const Shape& shape) {
  const json* found = find(key);
  if (found == nullptr) return;
  if (found->is_object()) return read_object(*found, place(key.name), shape);
  const auto known = std::find_if(words.begin(), words.end(), [&](std::string_view each) {
    return found->is_string() && found->get_ref<const std::string&>() == each;
  });
  if (known == words.end())
    return wrong(place(key.name), *found, "must be " + list_of(words) + " or an object");
  word = static_cast<std::size_t>(known - words.begin());
}

void Reader::list(Key key, Count count, const Shape& shape) {
  const json* found = find(key);
  if (found == nullptr || !check_array(*found, place(key.name), count)) return;
  for (std::size_t i = 0; i < found->size(); ++i) {
    read_object((*found)[i], place(key.name, i), shape);
  }
}

bool Reader::check_array(const json& value, const std::string& where, Count count) {
  const bool good = value.is_array() && value.size() >= count.low && value.size() <= count.high;
  if (!good) wrong(where, value, allowed_count(count));
  return good;
}

void Reader::later(std::initializer_list<const char*> keys) {
  later_.assign(keys.begin(), keys.end());
}

void Reader::ignored(const char* key) {
  known_.emplace_back(key);
}

void Reader::finish() {
  for (const auto& [key, value] : tree_.items()) {
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    const bool documented = std::find(later_.begin(), later_.end(), key) != later_.end();
    // Unknown keys are of any form: show them quoted unless they are plain words.
    const bool plain =
        std::all_of(key.begin(), key.end(), [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
    const std::string shown_key = plain && key.size() <= 64 ? key : quote(key);
    const std::string where = path_.empty() ? shown_key : path_ + "." + shown_key;
    if (documented) {
      problems_.error(where, "is not available in this version");
      continue;
    }
    std::string hint = did_you_mean(key, known_);
    if (hint.empty()) {
      hint = "; known here:";
      for (const std::string& known : known_) hint += " " + known;
    }
    problems_.error(where, "is not a known key" + hint);
  }
}

}  // namespace holdfast::config
