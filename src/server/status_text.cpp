#include "server/status_text.hpp"

#include <fmt/format.h>

#include <cstdint>

namespace holdfast::server {

namespace {

using nlohmann::json;

const json& member(const json& object, const char* name) {
  static const json none = json::object();
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? none : *found;
}

std::uint64_t number(const json& object, const char* name) {
  return object.value(name, std::uint64_t{0});
}

// "origin 3, max_sessions 1": those that are not zero.
std::string counts(const json& numbers) {
  std::string text;
  for (const auto& [name, count] : numbers.items()) {
    if (count.get<std::uint64_t>() == 0) continue;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, count.get<std::uint64_t>());
  }
  return text;
}

// A line of its own, where there is something to tell.
std::string note(const char* what, const std::string& text) {
  return text.empty() ? "" : fmt::format("  {}: {}\n", what, text);
}

std::string counted(const json& object, const char* name) {
  const std::uint64_t count = number(object, name);
  return count == 0 ? "" : std::to_string(count);
}

std::string listener_text(const json& listener) {
  return fmt::format("listener {:<20} {:<24} {:>8} sessions\n", listener.value("name", ""),
                     listener.value("bind", ""), number(listener, "sessions")) +
         note("refused", counts(member(member(listener, "protection"), "refusals")));
}

std::string backend_text(const json& backend) {
  return fmt::format("  {:<32} {:<10} {:<9}{} {:>8} sessions  {}\n", backend.value("address", ""),
                     backend.value("health", ""), backend.value("state", ""),
                     backend.value("ejected", false) ? " ejected" : "", number(backend, "sessions"),
                     backend.value("last_error", ""));
}

std::string upstream_text(const json& upstream) {
  std::string text =
      fmt::format("upstream {} ({})\n", upstream.value("name", ""), upstream.value("policy", ""));
  if (upstream.value("panic", false))
    text += note("panic", fmt::format("{} of {} backends eligible, all are used",
                                      number(upstream, "eligible"), number(upstream, "active")));
  text += note("refused by its circuit breaker", counts(member(member(upstream, "circuit"), "breaks")));
  text += note("waiting in its queue", counted(member(upstream, "queue"), "waiting"));
  text += note("not dialled for want of a port, an address or a descriptor",
               counted(upstream, "dial_shortages_total"));
  text += note("discovery fails", member(upstream, "discovery").value("error", ""));
  for (const json& backend : member(upstream, "backends")) text += backend_text(backend);
  return text;
}

// "3 open", "2 of 3 open: connection refused": the first trouble that is told.
std::string sources_text(const json& feed) {
  const std::uint64_t open = number(feed, "source_connections");
  const std::uint64_t wanted = number(feed, "source_connections_wanted");
  if (open >= wanted) return fmt::format("{} source{} open", open, open == 1 ? "" : "s");
  std::string why;
  for (const json& source : member(feed, "sources")) {
    if (why.empty() && source.value("state", "") != "open") why = source.value("last_error", "");
  }
  return fmt::format("{} of {} sources open{}{}", open, wanted, why.empty() ? "" : ": ", why);
}

std::string feed_text(const json& feed) {
  return fmt::format("feed {:<24} {:>8} subscribers {:>6} channels  {}\n", feed.value("name", ""),
                     number(feed, "subscribers"), number(feed, "channels"), sources_text(feed));
}

std::string refused(json results, const char* good) {
  if (results.is_object()) results.erase(good);
  return counts(results);
}

std::string route_text(const json& route) {
  const json& auth = member(route, "auth");
  const std::string text = note("refused by tokens", refused(member(auth, "tokens"), "accepted")) +
                           note("refused by forward_auth", refused(member(auth, "forward"), "allowed"));
  return text.empty() ? "" : fmt::format("route {}\n{}", route.value("name", ""), text);
}

}  // namespace

std::string status_text(const json& status) {
  std::string text = fmt::format("holdfast {}, generation {}, up {} s\n", status.value("version", "?"),
                                 number(status, "generation"), number(status, "uptime_seconds"));
  for (const json& listener : member(status, "listeners")) text += listener_text(listener);
  for (const json& route : member(status, "routes")) text += route_text(route);
  for (const json& upstream : member(status, "upstreams")) text += upstream_text(upstream);
  for (const json& feed : member(status, "feeds")) text += feed_text(feed);
  return text;
}

}  // namespace holdfast::server
