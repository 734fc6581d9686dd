#include "config/problems.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace holdfast::config {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Takes a run of digits without leading zeros from the front.
std::string_view take_digits(std::string_view& text) {
  while (text.size() > 1 && text[0] == '0' && is_digit(text[1])) text.remove_prefix(1);
  std::size_t length = 0;
  while (length < text.size() && is_digit(text[length])) ++length;
  const std::string_view digits = text.substr(0, length);
  text.remove_prefix(length);
  return digits;
}

bool natural_less(std::string_view a, std::string_view b) {
  while (!a.empty() && !b.empty()) {
    if (is_digit(a[0]) && is_digit(b[0])) {
      const std::string_view x = take_digits(a);
      const std::string_view y = take_digits(b);
      if (x.size() != y.size()) return x.size() < y.size();
      if (x != y) return x < y;
      continue;
    }
    if (a[0] != b[0]) return a[0] < b[0];
    a.remove_prefix(1);
    b.remove_prefix(1);
  }
  return a.size() < b.size();
}

void sort_by_place(std::vector<Problem>& problems) {
  std::stable_sort(problems.begin(), problems.end(),
                   [](const Problem& a, const Problem& b) { return natural_less(a.place, b.place); });
}

// Edit distance where swapping two neighbours is one step.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
      std::size_t best = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + change});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) best = std::min(best, cost[i - 2][j - 2] + 1);
      cost[i][j] = best;
    }
  }
  return cost[a.size()][b.size()];
}

}  // namespace

void Problems::error(const std::string& place, std::string what) {
  if (!places_.insert(place).second) return;
  errors_.push_back({place, std::move(what)});
}

void Problems::warning(const std::string& place, std::string what) {
  warnings_.push_back({place, std::move(what)});
}

std::vector<Problem> Problems::take_errors() {
  sort_by_place(errors_);
  return std::exchange(errors_, {});
}

std::vector<Problem> Problems::take_warnings() {
  sort_by_place(warnings_);
  return std::exchange(warnings_, {});
}

std::string quote(std::string_view text) {
  constexpr std::size_t shown = 80;
  const bool cut = text.size() > shown;
  const nlohmann::json value(std::string(text.substr(0, shown)));
  std::string out = value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  // A cut inside a multi-byte character ends in a replacement character, which is fine here.
  if (cut) out.insert(out.size() - 1, "...");
  return out;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& words) {
  constexpr std::size_t longest = 64;  // longer ones are no typing mistakes, and cost quadratic time
  if (word.size() > longest) return {};
  const std::size_t allowed = std::max<std::size_t>(1, word.size() / 3);
  std::size_t best = allowed + 1;
  const std::string* found = nullptr;
  for (const std::string& candidate : words) {
    if (candidate.size() > word.size() + allowed || word.size() > candidate.size() + allowed) continue;
    const std::size_t steps = distance(word, candidate);
    if (steps >= best) continue;
    best = steps;
    found = &candidate;
  }
  return found == nullptr ? std::string{} : ", did you mean " + quote(*found) + "?";
}

}  // namespace holdfast::config
