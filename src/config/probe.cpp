#include "holdfast/config/probe.hpp"

#include <charconv>

#include "config/words.hpp"

namespace holdfast::config {

namespace {

std::optional<std::uint16_t> parse_status(std::string_view text) {
  std::uint16_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size() && text.size() == 3;
  if (!whole || value < 100 || value > 599) return std::nullopt;
  return value;
}

}  // namespace

std::string_view to_string(ProbeType value) noexcept {
  return probe_type_words[static_cast<std::size_t>(value)];
}

std::vector<StatusRange> parse_status_ranges(std::string_view text, std::string& why) {
  std::vector<StatusRange> ranges;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    const std::string_view part = text.substr(at, comma - at);
    const std::size_t hyphen = part.find('-');
    const auto low = parse_status(part.substr(0, hyphen));
    const auto high = hyphen == std::string_view::npos ? low : parse_status(part.substr(hyphen + 1));
    if (!low || !high || *low > *high) {
      why = "must be status codes and ranges from 100 to 599, such as \"200-399\" or \"200,204\"";
      return {};
    }
    ranges.push_back({*low, *high});
    at = comma + 1;
  }
  return ranges;
}

const Probe& probe_of(const Probe& common, const std::optional<Probe>& own) noexcept {
  return own ? *own : common;
}

}  // namespace holdfast::config
