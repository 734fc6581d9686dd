// The one string that a policy is written as.

#include <algorithm>
#include <array>

#include "config/problems.hpp"
#include "config/words.hpp"
#include "holdfast/config/balancing.hpp"

namespace holdfast::config {
namespace {

constexpr std::array<std::string_view, 5> hash_words{"ip", "header", "cookie", "query", "path"};
constexpr std::string_view prefix = "hash:";

bool is_token(std::string_view text) {
  static constexpr std::string_view others = "!#$%&'*+-.^_`|~";
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return letter || others.find(c) != std::string_view::npos;
  });
}

bool has_name(HashOn on) {
  return on == HashOn::header || on == HashOn::cookie || on == HashOn::query;
}

std::string allowed() {
  std::string out = "must be one of";
  for (const std::string_view word : policy_words) {
    if (word != "hash") out += " \"" + std::string(word) + "\",";
  }
  return out + " \"hash:ip\", \"hash:header:NAME\", \"hash:cookie:NAME\", \"hash:query:NAME\", \"hash:path\"";
}

std::vector<std::string> candidates() {
  std::vector<std::string> out(policy_words.begin(), policy_words.end() - 1);
  out.insert(out.end(), {"hash:ip", "hash:path"});
  return out;
}

}  // namespace

std::string to_string(const Policy& policy) {
  std::string text(to_string(policy.kind));
  if (policy.kind != PolicyKind::hash) return text;
  text += ":" + std::string(hash_words[static_cast<std::size_t>(policy.on)]);
  return has_name(policy.on) ? text + ":" + policy.name : text;
}

std::optional<Policy> parse_policy(const std::string& text, std::string& why) {
  Policy policy;
  const auto word = std::find(policy_words.begin(), policy_words.end() - 1, text);
  if (word != policy_words.end() - 1) {
    policy.kind = static_cast<PolicyKind>(word - policy_words.begin());
    return policy;
  }
  why = allowed();
  if (!text.starts_with(prefix)) {
    why += did_you_mean(text, candidates());
    return std::nullopt;
  }
  const std::string rest = text.substr(prefix.size());
  const std::size_t colon = rest.find(':');
  const auto on = std::find(hash_words.begin(), hash_words.end(), rest.substr(0, colon));
  if (on == hash_words.end()) return std::nullopt;
  policy.kind = PolicyKind::hash;
  policy.on = static_cast<HashOn>(on - hash_words.begin());
  if (has_name(policy.on) != (colon != std::string::npos)) return std::nullopt;
  policy.name = has_name(policy.on) ? rest.substr(colon + 1) : "";
  why = "";
  if (!has_name(policy.on) || is_token(policy.name)) return policy;
  why = "must have a name of 1 to 64 letters, digits or -_.!#$%&'*+^`|~ behind the second colon";
  return std::nullopt;
}

}  // namespace holdfast::config
