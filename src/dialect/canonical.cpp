#include "dialect/canonical.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "dialect/text.hpp"

namespace holdfast::dialect {
namespace {

using simdjson::ondemand::json_type;

bool append_value(simdjson::ondemand::value value, std::string& out);

bool append_object(simdjson::ondemand::object object, std::string& out) {
  std::vector<std::pair<std::string, std::string>> members;
  for (auto field : object) {
    simdjson::ondemand::field member;
    std::string_view name;
    if (std::move(field).get(member) || member.unescaped_key().get(name)) return false;
    members.emplace_back(name, "");
    if (!append_value(member.value(), members.back().second)) return false;
  }
  std::ranges::sort(members);
  out += '{';
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (i > 0 && members[i].first == members[i - 1].first) return false;
    if (i > 0) out += ',';
    append_string(members[i].first, out);
    out += ':';
    out += members[i].second;
  }
  out += '}';
  return true;
}

bool append_array(simdjson::ondemand::array array, std::string& out) {
  out += '[';
  const std::size_t begin = out.size();
  for (auto result : array) {
    simdjson::ondemand::value element;
    if (std::move(result).get(element)) return false;
    if (out.size() > begin) out += ',';
    if (!append_value(element, out)) return false;
  }
  out += ']';
  return true;
}

// Depth is bounded by the walk over the whole message that came before.
bool append_value(simdjson::ondemand::value value, std::string& out) {
  json_type type{};
  if (value.type().get(type)) return false;
  simdjson::ondemand::object object;
  simdjson::ondemand::array array;
  std::string_view string;
  switch (type) {
    case json_type::object:
      return !value.get_object().get(object) && append_object(object, out);
    case json_type::array:
      return !value.get_array().get(array) && append_array(array, out);
    case json_type::string:
      if (value.get_string().get(string)) return false;
      append_string(string, out);
      return true;
    default: {
      const std::string_view token = value.raw_json_token();
      out += token.substr(0, token.find_last_not_of(" \t\r\n") + 1);
      return true;
    }
  }
}

}  // namespace

bool append_canonical(Span value, ScratchMemory& memory, std::string& out) {
  const char* const begin = memory.bytes.data() + value.offset;
  const std::string_view raw(begin, value.length);
  if (!raw.starts_with('{') && !raw.starts_with('[')) {
    if (!raw.starts_with('"')) {
      out += raw;
      return !raw.empty();
    }
  }
  simdjson::ondemand::document document;
  const simdjson::padded_string_view padded(begin, value.length, memory.bytes.size() - value.offset);
  if (memory.canonical_parser.iterate(padded).get(document)) return false;
  simdjson::ondemand::value root;
  std::string_view string;
  if (!raw.starts_with('"')) return !document.get_value().get(root) && append_value(root, out);
  if (document.get_string().get(string)) return false;
  append_string(string, out);
  return true;
}

}  // namespace holdfast::dialect
