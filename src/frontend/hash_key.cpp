#include "frontend/hash_key.hpp"

#include <algorithm>

#include "holdfast/balance/view.hpp"

namespace holdfast::frontend {

using config::HashOn;

namespace {

using Text = std::optional<std::string_view>;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blanks = " \t\r\n";
  const std::size_t first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

// Takes what comes before `mark` off `rest`, the mark with it.
std::string_view take(std::string_view& rest, char mark) {
  const std::size_t end = rest.find(mark);
  const std::string_view piece = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return piece;
}

bool same_name(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

// The value of the first field of that name for which `judge` gives something.
template <class Judge>
Text find_field(std::string_view stem, std::string_view name, Judge judge) {
  (void)session::take_line(stem);
  while (!stem.empty()) {
    std::string_view line = session::take_line(stem);
    if (!same_name(take(line, ':'), name)) continue;
    if (const Text found = judge(trimmed(line))) return found;
  }
  return std::nullopt;
}

// What we write ourselves is one address, and two or more only behind a trusted peer.
Text client_address(std::string_view forwarded_for) {
  const std::size_t last = forwarded_for.rfind(',');
  if (last == std::string_view::npos) return trimmed(forwarded_for);
  const std::string_view before = forwarded_for.substr(0, last);
  const std::size_t comma = before.rfind(',');
  return trimmed(comma == std::string_view::npos ? before : before.substr(comma + 1));
}

std::string_view target_of(std::string_view stem) {
  std::string_view line = session::take_line(stem);
  (void)take(line, ' ');
  return take(line, ' ');
}

Text query_value(std::string_view target, std::string_view name) {
  (void)take(target, '?');
  while (!target.empty()) {
    std::string_view pair = take(target, '&');
    if (take(pair, '=') == name) return pair;
  }
  return std::nullopt;
}

Text text_of(const config::Policy& policy, std::string_view stem) {
  const auto any = [](std::string_view value) { return Text(value); };
  std::string_view target = target_of(stem);
  switch (policy.on) {
    case HashOn::ip:
      return find_field(stem, "X-Forwarded-For", client_address);
    case HashOn::header:
      return find_field(stem, policy.name, any);
    case HashOn::cookie:
      return find_field(stem, "Cookie",
                        [&](std::string_view value) { return next_cookie(value, policy.name); });
    case HashOn::query:
      return query_value(target, policy.name);
    case HashOn::path:
      return take(target, '?');
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::uint64_t> hash_key(const config::Policy& policy, std::string_view stem) {
  if (policy.kind != config::PolicyKind::hash) return std::nullopt;
  const Text text = text_of(policy, stem);
  // Who sends an empty one has said nothing: they must not all be one client.
  if (!text || text->empty()) return std::nullopt;
  return balance::hash_of(*text);
}

std::optional<std::uint64_t> hash_key(const config::Policy& policy, const session::Continuation& kept) {
  if (policy.kind != config::PolicyKind::hash) return std::nullopt;
  return hash_key(policy, kept.request());
}

std::optional<std::string_view> next_cookie(std::string_view& rest, std::string_view name) {
  while (!rest.empty()) {
    std::string_view pair = take(rest, ';');
    if (trimmed(take(pair, '=')) == name) return trimmed(pair);
  }
  return std::nullopt;
}

}  // namespace holdfast::frontend
