// An entry of routes[].origins in the first line, an Origin field behind it.
#include "holdfast/config/origin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

using holdfast::config::OriginPattern;

// The message of a broken invariant is the crash itself.
void require(bool holds) {
  if (!holds) std::abort();
}

std::string upper(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  return text;
}

void check_match(const std::string& entry, const OriginPattern& pattern, const std::string& origin) {
  // What is no origin is never meant: who reads it loosely might take it for another one.
  const auto is_mark = [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == 0x7f; };
  require(std::ranges::none_of(origin, is_mark));
  for (const char* const behind : {"/", " ", "@", ",", "#", "?", ".", ":0", ":65536"})
    require(!pattern.matches(origin + behind));
  require(!pattern.matches(" " + origin));
  if (entry == "null") return require(origin == "null");
  require(pattern.matches(upper(origin)));
  const std::size_t host = origin.find("://") + 3;
  require(origin.find('/', host) == std::string::npos && origin.find('@') == std::string::npos);
  // Another host that ends or begins like this one is another host.
  if (origin[host] != '[') {
    const bool one_label = entry.starts_with("*.") || entry.find("://*.") != std::string::npos;
    if (!one_label) require(!pattern.matches(std::string(origin).insert(host, "evil")));
    require(!pattern.matches(std::string(origin).insert(host, "a.b.")));
  }
  require(!pattern.matches("x" + origin) || entry.find("://") != std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t middle = std::min(input.find('\n'), input.size());
  const std::string entry(input.substr(0, middle));
  const std::string origin(input.substr(std::min(middle + 1, input.size())));
  std::string why;
  const auto pattern = OriginPattern::compile(entry, why);
  require(pattern.has_value() == why.empty());
  if (!pattern) return 0;
  if (pattern->matches(origin)) check_match(entry, *pattern, origin);
  // An entry without wildcards is an origin itself, unless it lacks the scheme.
  const bool exact =
      entry == "null" || (entry.find("://") != std::string::npos && entry.find('*') == std::string::npos);
  if (exact) {
    require(pattern->matches(entry));
    check_match(entry, *pattern, entry);
  }
  return 0;
}
