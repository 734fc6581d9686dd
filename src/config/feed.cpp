#include "holdfast/config/feed.hpp"

#include "config/url.hpp"
#include "config/words.hpp"

namespace holdfast::config {

std::string_view to_string(OnLag value) noexcept {
  return on_lag_words[static_cast<std::size_t>(value)];
}
std::string_view to_string(SourceMode value) noexcept {
  return source_mode_words[static_cast<std::size_t>(value)];
}

std::string parse_source_url(const std::string& text, SourceUrl& out) {
  auto parts = split_url(text, "ws", "wss");
  if (!parts) return "must be a URL such as \"ws://127.0.0.1:9000/stream\" or \"wss://source.example/\"";
  out.url = text;
  out.scheme = parts->secure ? SourceUrl::Scheme::wss : SourceUrl::Scheme::ws;
  out.address = std::move(parts->address);
  out.host = std::move(parts->host);
  out.target = std::move(parts->target);
  return {};
}

}  // namespace holdfast::config
