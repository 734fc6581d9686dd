#include "config/schema.hpp"

#include <utility>

#include "config/shape.hpp"
#include "config/units.hpp"

namespace holdfast::config {
namespace {

using json = nlohmann::ordered_json;

json reference(const char* definition) {
  return {{"$ref", std::string("#/$defs/") + definition}};
}

class SchemaWriter : public Visitor {
 public:
  void text(Key key, std::string& value, const TextCheck&) override {
    json type{{"type", "string"}};
    if (!value.empty()) type["default"] = value;
    add(key, std::move(type));
  }
  void word_or_text(Key key, std::string& value, std::span<const std::string_view> words, const char* pattern,
                    const TextCheck&) override {
    json type{{"anyOf", json::array({one_of(words), json{{"type", "string"}, {"pattern", pattern}}})}};
    type["default"] = value;
    add(key, std::move(type));
  }
  void texts(Key key, std::vector<std::string>&, Count count, const TextCheck&) override {
    add(key, array(json{{"type", "string"}}, count));
  }
  void fields(Key key, std::vector<std::pair<std::string, std::string>>&, std::size_t count, const TextCheck&,
              const TextCheck&) override {
    add(key, {{"type", "object"}, {"additionalProperties", {{"type", "string"}}}, {"maxProperties", count}});
  }
  void number(Key key, std::uint64_t& value, NumberRange range) override {
    json type = number_type(range);
    type["default"] = as_written(value, range);
    add(key, std::move(type));
  }
  void numbers(Key key, std::vector<std::uint64_t>& value, Count count, NumberRange range) override {
    json type = set(number_type(range), count);
    for (const std::uint64_t each : value) type["default"].push_back(as_written(each, range));
    add(key, std::move(type));
  }
  void size(Key key, std::uint64_t& value, SizeRange range) override {
    json type = reference("size");
    type["default"] = value == 0 ? json(0) : json(print_size(value));
    // As with durations.
    if (range.low != 0 || range.high != SizeRange{}.high)
      type["description"] = "From " + print_size(range.low) + " to " + print_size(range.high) + ".";
    add(key, std::move(type));
  }
  void duration(Key key, std::chrono::milliseconds& value, DurationRange range) override {
    json type = reference("duration");
    type["default"] = value.count() == 0 ? json(0) : json(print_duration(value));
    // No schema word compares durations: for people.
    type["description"] = "From " + print_duration(range.low) + " to " + print_duration(range.high) +
                          (range.zero == Zero::means_off ? "; 0 = off." : ".");
    add(key, std::move(type));
  }
  void flag(Key key, bool& value) override { add(key, json{{"type", "boolean"}, {"default", value}}); }
  void choice(Key key, std::size_t& index, std::span<const std::string_view> words) override {
    json type = one_of(words);
    type["default"] = words[index];
    add(key, std::move(type));
  }
  void choices(Key key, std::vector<std::size_t>& indices, std::span<const std::string_view> words) override {
    json type = set(one_of(words), {0, words.size()});
    for (const std::size_t index : indices) type["default"].push_back(words[index]);
    add(key, std::move(type));
  }
  void object(Key key, const Shape& shape) override { add(key, inside(shape)); }
  void object_like(Key key, const char* pointer, const Shape&) override { add(key, {{"$ref", pointer}}); }
  void object_or_word(Key key, std::size_t& word, std::span<const std::string_view> words,
                      const Shape& shape) override {
    json type{{"anyOf", json::array({one_of(words), inside(shape)})}};
    type["default"] = words[word];
    add(key, std::move(type));
  }
  void list(Key key, Count count, const Shape& shape) override { add(key, array(inside(shape), count)); }

  // Keys of later versions are errors in this one, so an editor should mark them too.
  void later(std::initializer_list<const char*>) override {}
  void ignored(const char* key) override { properties_[key] = json{{"type", "string"}}; }

  json finish() && {
    json out{{"type", "object"}, {"properties", std::move(properties_)}, {"additionalProperties", false}};
    if (!required_.empty()) out["required"] = std::move(required_);
    return out;
  }

 private:
  void add(Key key, json type) {
    properties_[key.name] = std::move(type);
    if (key.presence == Presence::required) required_.push_back(key.name);
  }
  static json inside(const Shape& shape) {
    SchemaWriter inner;
    shape(inner);
    return std::move(inner).finish();
  }
  static json one_of(std::span<const std::string_view> words) {
    json type{{"enum", json::array()}};
    for (const std::string_view word : words) type["enum"].push_back(word);
    return type;
  }
  static json number_type(NumberRange range) {
    json type{{"type", "integer"}, {"minimum", range.low}, {"maximum", range.high}};
    if (range.word_for_zero == nullptr) return type;
    return {{"anyOf", json::array({json{{"const", range.word_for_zero}}, std::move(type)})}};
  }
  static json as_written(std::uint64_t value, NumberRange range) {
    return value == 0 && range.word_for_zero != nullptr ? json(range.word_for_zero) : json(value);
  }
  static json set(json items, Count count) {
    json out = array(std::move(items), count);
    out["uniqueItems"] = true;
    out["default"] = json::array();
    return out;
  }
  static json array(json items, Count count) {
    json out{{"type", "array"}, {"items", std::move(items)}};
    if (count.low > 0) out["minItems"] = count.low;
    out["maxItems"] = count.high;
    return out;
  }

  json properties_ = json::object();
  json required_ = json::array();
};

json definitions() {
  return {{"duration",
           {{"anyOf", json::array({json{{"type", "string"}, {"pattern", "^[0-9]+(ms|s|m|h)$"}},
                                   json{{"const", 0}}})}}},
          {"size",
           {{"anyOf", json::array({json{{"type", "integer"}, {"minimum", 0}},
                                   json{{"type", "string"}, {"pattern", "^[0-9]+(B|KiB|MiB|GiB|TiB)$"}}})}}}};
}

}  // namespace

json schema() {
  SchemaWriter writer;
  Config config = default_config();
  visit(writer, config);
  json out{{"$schema", "https://json-schema.org/draft/2020-12/schema"}, {"title", "Holdfast configuration"}};
  out.update(std::move(writer).finish());
  out["$defs"] = definitions();
  return out;
}

}  // namespace holdfast::config
