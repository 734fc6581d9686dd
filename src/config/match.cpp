#include "holdfast/config/match.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::config {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool equal_ignoring_case(std::string_view text, std::string_view in_lower_case) {
  return text.size() == in_lower_case.size() && std::equal(text.begin(), text.end(), in_lower_case.begin(),
                                                           [](char a, char b) { return lower(a) == b; });
}

bool is_segment_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool is_path_character(char c) {
  return c > ' ' && c < 0x7f && c != '?' && c != '#';
}

bool is_host_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_' || c == ':';
}

// The last part may stop early (a trailing "*" swallows the rest), hence "starts with".
std::size_t length_of_segment(std::string_view path) {
  return std::min(path.find('/'), path.size());
}

constexpr const char* allowed_paths =
    "must begin with \"/\", have \"*\" only as its last character and \":name\" only as a whole segment";
constexpr const char* allowed_hosts =
    "must be a host name without a port, an IPv6 address without brackets, or \"*.\" and a host name";

}  // namespace

std::optional<PathPattern> PathPattern::compile(std::string_view pattern, std::string& why) {
  why.clear();
  PathPattern out;
  if (pattern.empty()) return out;
  why = allowed_paths;
  out.tail_ = Tail::exact;
  if (pattern.back() == '*') {
    out.tail_ = Tail::any;
    pattern.remove_suffix(1);
  }
  const bool good = !pattern.empty() && pattern[0] == '/' &&
                    std::all_of(pattern.begin(), pattern.end(), is_path_character) &&
                    pattern.find('*') == std::string_view::npos;
  if (!good) return std::nullopt;
  while (!pattern.empty()) {
    const std::size_t colon = pattern.find("/:");
    const std::string_view literal = pattern.substr(0, colon == std::string_view::npos ? colon : colon + 1);
    out.parts_.push_back({Part::Kind::literal, std::string(literal)});
    pattern.remove_prefix(literal.size());
    if (pattern.empty()) break;
    const std::size_t length = length_of_segment(pattern);
    const std::string_view name = pattern.substr(1, length - 1);
    const bool named = !name.empty() && std::all_of(name.begin(), name.end(), is_segment_name_character);
    // ":name*" would be a segment with a tail: say "/:name/*" instead.
    const bool cut_by_tail = out.tail_ == Tail::any && length == pattern.size();
    if (!named || cut_by_tail) return std::nullopt;
    out.parts_.push_back({Part::Kind::segment, std::string(name)});
    pattern.remove_prefix(length);
  }
  why.clear();
  return out;
}

bool PathPattern::matches(std::string_view path) const noexcept {
  for (const Part& part : parts_) {
    std::size_t taken = part.literal.size();
    if (part.kind == Part::Kind::segment) {
      taken = length_of_segment(path);
      if (taken == 0) return false;
    } else if (path.substr(0, taken) != part.literal) {
      return false;
    }
    path.remove_prefix(taken);
  }
  return tail_ == Tail::any || path.empty();
}

std::vector<PathPattern::Capture> PathPattern::captures(std::string_view path) const {
  std::vector<Capture> out;
  for (const Part& part : parts_) {
    const bool is_segment = part.kind == Part::Kind::segment;
    const std::size_t taken =
        std::min(is_segment ? length_of_segment(path) : part.literal.size(), path.size());
    if (is_segment) out.emplace_back(part.literal, path.substr(0, taken));
    path.remove_prefix(taken);
  }
  return out;
}

std::vector<std::string> PathPattern::names() const {
  std::vector<std::string> out;
  for (const Part& part : parts_) {
    if (part.kind == Part::Kind::segment) out.push_back(part.literal);
  }
  return out;
}

std::optional<HostPattern> HostPattern::compile(std::string_view pattern, std::string& why) {
  why.clear();
  HostPattern out;
  if (pattern.empty()) return out;
  out.kind_ = Kind::exact;
  if (pattern.substr(0, 2) == "*.") {
    out.kind_ = Kind::one_label;
    pattern.remove_prefix(1);
  }
  std::transform(pattern.begin(), pattern.end(), std::back_inserter(out.name_), lower);
  const std::size_t colons = static_cast<std::size_t>(std::count(out.name_.begin(), out.name_.end(), ':'));
  // One colon is "host:port"; an IPv6 address has at least two.
  const bool good = colons != 1 && (colons == 0 || out.kind_ == Kind::exact) && out.name_.size() <= 253 &&
                    out.name_.size() > (out.kind_ == Kind::one_label ? 1U : 0U) &&
                    std::all_of(out.name_.begin(), out.name_.end(), is_host_character);
  if (good) return out;
  why = allowed_hosts;
  return std::nullopt;
}

bool HostPattern::matches(std::string_view host) const noexcept {
  if (kind_ == Kind::any) return true;
  // A fully qualified name may end in a dot; it is the same host.
  if (!host.empty() && host.back() == '.') host.remove_suffix(1);
  if (kind_ == Kind::exact) return equal_ignoring_case(host, name_);
  const std::size_t dot = host.find('.');
  if (dot == 0 || dot == std::string_view::npos) return false;
  return equal_ignoring_case(host.substr(dot), name_);
}

std::string_view host_without_port(std::string_view host) noexcept {
  if (!host.empty() && host.front() == '[') {
    const std::size_t bracket = host.find(']');
    return bracket == std::string_view::npos ? host : host.substr(1, bracket - 1);
  }
  return host.substr(0, host.find(':'));
}

namespace {

// Calls text(piece) and name(piece) in order.
template <class Text, class Name>
void walk_template(std::string_view pattern, Text text, Name name) {
  while (!pattern.empty()) {
    const std::size_t dollar = std::min(pattern.find('$'), pattern.size());
    text(pattern.substr(0, dollar));
    pattern.remove_prefix(dollar);
    if (pattern.empty()) return;
    if (pattern.substr(1, 1) == "$") {
      text("$");
      pattern.remove_prefix(2);
      continue;
    }
    const auto rest = pattern.substr(1);
    const auto end = std::find_if_not(rest.begin(), rest.end(), is_segment_name_character);
    name(rest.substr(0, static_cast<std::size_t>(end - rest.begin())));
    pattern.remove_prefix(1 + static_cast<std::size_t>(end - rest.begin()));
  }
}

}  // namespace

std::vector<std::string> placeholders(std::string_view text) {
  std::vector<std::string> out;
  walk_template(
      text, [](std::string_view) {}, [&](std::string_view name) { out.emplace_back(name); });
  return out;
}

std::vector<PathPattern::Capture> captures_in(std::string_view pattern, std::string_view text) {
  std::vector<PathPattern::Capture> out;
  walk_template(
      pattern, [&](std::string_view piece) { text.remove_prefix(std::min(piece.size(), text.size())); },
      [&](std::string_view name) {
        out.emplace_back(name, text.substr(0, length_of_segment(text)));
        text.remove_prefix(out.back().second.size());
      });
  return out;
}

std::string fill(std::string_view text, const std::vector<PathPattern::Capture>& captures) {
  std::string out;
  walk_template(
      text, [&](std::string_view piece) { out += piece; },
      [&](std::string_view name) {
        const auto found = std::find_if(captures.begin(), captures.end(),
                                        [&](const PathPattern::Capture& each) { return each.first == name; });
        if (found != captures.end()) out += found->second;
      });
  return out;
}

std::string fill_target(std::string_view target, const std::vector<PathPattern::Capture>& captures) {
  const std::size_t query = std::min(target.find('?'), target.size());
  std::string out = fill(target.substr(0, query), captures);
  std::vector<std::string> encoded;  // the captures of these point into them
  encoded.reserve(captures.size());
  std::vector<PathPattern::Capture> safe;
  for (const auto& [name, value] : captures) {
    std::string& text = encoded.emplace_back();
    for (const char c : value) {
      if (c == '&') {
        text += "%26";
      } else if (c == '=') {
        text += "%3D";
      } else if (c == '+') {
        text += "%2B";
      } else if (c == ';') {
        text += "%3B";
      } else {
        text += c;
      }
    }
    safe.emplace_back(name, text);
  }
  return out + fill(target.substr(query), safe);
}

bool is_dot_segment(std::string_view segment) noexcept {
  std::size_t dots = 0;
  while (!segment.empty()) {
    const bool is_encoded = segment.starts_with("%2e") || segment.starts_with("%2E");
    if (!is_encoded && segment[0] != '.') return false;
    segment.remove_prefix(is_encoded ? 3 : 1);
    ++dots;
  }
  return dots == 1 || dots == 2;
}

}  // namespace holdfast::config
