#include "config/parse.hpp"

#include <set>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::config {
namespace {

using nlohmann::json;

// The library's message without its prefix, which repeats the position in its own way.
std::string reason_of(std::string message) {
  const std::size_t bracket = message.find("] ");
  if (bracket != std::string::npos) message.erase(0, bracket + 2);
  const std::size_t column = message.find("column ");
  const std::size_t colon = message.find(": ", column == std::string::npos ? 0 : column);
  if (column != std::string::npos && colon != std::string::npos) message.erase(0, colon + 2);
  std::string shown = quote(message);
  constexpr std::size_t longest_message = 80;
  if (message.size() <= longest_message) return shown.substr(1, shown.size() - 2);
  // The expected part comes last and is what helps: keep both ends.
  std::string tail = quote(std::string_view(message).substr(message.size() - longest_message));
  shown.resize(shown.size() - 1);
  return shown.substr(1) + tail.substr(1, tail.size() - 2);
}

std::string line_and_column(std::string_view text, std::size_t position) {
  const std::string_view before = text.substr(0, std::min(position, text.size()));
  std::size_t line = 1;
  std::size_t line_start = 0;
  for (std::size_t i = 0; i + 1 < before.size(); ++i) {
    if (before[i] != '\n') continue;
    ++line;
    line_start = i + 1;
  }
  const std::size_t column = before.size() > line_start ? before.size() - line_start : 1;
  return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

// Builds the tree from events. Invariant: the innermost open container is containers_.back(), and
// nothing but its last element grows, so the pointers stay valid.
class TreeBuilder : public nlohmann::json_sax<json> {
 public:
  TreeBuilder(std::string_view text, Problems& problems) : text_(text), problems_(problems) {}

  json take() { return std::move(root_); }

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(number_integer_t value) override { return put(value); }
  bool number_unsigned(number_unsigned_t value) override { return put(value); }
  bool number_float(number_float_t value, const string_t&) override { return put(value); }
  bool string(string_t& value) override { return put(std::move(value)); }
  bool binary(binary_t&) override { return false; }  // not in JSON text

  bool start_object(std::size_t) override { return open(json::object()); }
  bool start_array(std::size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    Container& object = containers_.back();
    object.key = name;
    if (object.tree->contains(name)) problems_.error(path(), "is given twice in one object");
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    problems_.error(line_and_column(text_, position), reason_of(error.what()));
    return false;
  }

 private:
  struct Container {
    json* tree;
    std::string key;  // objects: where the next value goes
  };

  json* place(json value) {
    if (containers_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Container& container = containers_.back();
    if (container.tree->is_array()) {
      container.tree->push_back(std::move(value));
      return &container.tree->back();
    }
    json& slot = (*container.tree)[container.key];
    slot = std::move(value);
    return &slot;
  }

  bool put(json value) {
    place(std::move(value));
    return true;
  }

  bool open(json empty) {
    if (containers_.size() == max_nesting) {
      problems_.error("", "is nested deeper than " + std::to_string(max_nesting) + " levels");
      return false;
    }
    containers_.push_back({place(std::move(empty)), {}});
    return true;
  }

  bool close() {
    containers_.pop_back();
    return true;
  }

  std::string path() const {
    std::string out;
    for (const Container& container : containers_) {
      if (container.tree->is_array()) {
        out += "[" + std::to_string(container.tree->size() - 1) + "]";
        continue;
      }
      if (!out.empty()) out += ".";
      out += container.key;
    }
    return out;
  }

  std::string_view text_;
  Problems& problems_;
  json root_;
  std::vector<Container> containers_;
};

}  // namespace

std::optional<json> parse_json(std::string_view text, Problems& problems) {
  TreeBuilder builder(text, problems);
  constexpr bool strict = true;           // nothing may follow the value
  constexpr bool ignore_comments = true;  // our one addition to JSON
  const bool whole = json::sax_parse(text.begin(), text.end(), &builder, json::input_format_t::json, strict,
                                     ignore_comments);
  if (!whole) return std::nullopt;
  return builder.take();
}

}  // namespace holdfast::config
