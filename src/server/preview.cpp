#include "server/preview.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::server {

namespace {

using nlohmann::json;

struct Running {
  std::string upstream;
  std::uint64_t sessions = 0;
};

// "UPSTREAM/ADDRESS" → what is there.
using Backends = std::map<std::string, Running>;

// Those that were discovered stay as long as their upstream discovers any.
Backends running_backends(const json& status, const config::Config& next) {
  Backends backends;
  for (const auto& upstream : status.value("upstreams", json::array())) {
    const std::string name = upstream.value("name", "");
    const config::Upstream* there = next.find_upstream(name);
    const bool discovers = there != nullptr && there->discover;
    for (const auto& backend : upstream.value("backends", json::array())) {
      if (discovers && backend.value("discovered", false)) continue;
      backends[name + "/" + backend.value("address", "")] = {name, backend.value("sessions", 0ULL)};
    }
  }
  return backends;
}

// 1204 → "1,204".
std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, ",");
  return digits;
}

std::string counted(std::uint64_t number, const char* thing) {
  return grouped(number) + " " + thing + (number == 1 ? "" : "s");
}

// What becomes of the sessions of a removed backend. Which routes they came by is not known from outside, so
// an upstream whose routes differ can't be told exactly.
enum class Fate : std::uint8_t { move, stay, unclear, close };

Fate fate(const config::Config& next, const std::string& upstream) {
  if (next.find_upstream(upstream) == nullptr) return Fate::close;
  bool some_move = false;
  bool some_stay = false;
  for (const config::Route& route : next.routes) {
    if (route.upstream != upstream) continue;
    const auto& on = route.reroute.on;
    const bool moves = std::ranges::find(on, Occasion::draining) != on.end();
    (moves ? some_move : some_stay) = true;
  }
  if (some_move && some_stay) return Fate::unclear;
  return some_stay ? Fate::stay : Fate::move;
}

const char* words(Fate fate) {
  switch (fate) {
    case Fate::move:
      return "would move";
    case Fate::stay:
      return "would stay (reroute.on of their route lacks \"draining\")";
    case Fate::unclear:
      return "would move or stay (some routes lack \"draining\" in reroute.on)";
    case Fate::close:
      return "would be closed (their upstream is removed)";
  }
  return "";
}

// What of a feed's settings its clients or its source would notice, "channel, source".
std::string noticeable_changes(const json& running, const config::Feed& next) {
  std::vector<std::string> urls;
  for (const config::SourceUrl& each : next.source.urls) urls.push_back(each.url);
  const json source = {
      {"urls", urls}, {"upstream", next.source.upstream}, {"mode", config::to_string(next.source.mode)}};
  const std::pair<const char*, json> settings[] = {{"dialect", next.dialect},
                                                   {"channel", next.channel},
                                                   {"on_lag", config::to_string(next.on_lag)},
                                                   {"source", source}};
  std::string changes;
  for (const auto& [name, value] : settings) {
    const auto found = running.find(name);
    if (found != running.end() && *found != value)
      changes += (changes.empty() ? "" : ", ") + std::string(name);
  }
  return changes;
}

std::string preview_feeds(const config::Config& next, const json& status) {
  std::map<std::string, json> running;
  for (const auto& feed : status.value("feeds", json::array())) running[feed.value("name", "")] = feed;
  std::string lines;
  for (const config::Feed& feed : next.feeds) {
    const auto found = running.find(feed.name);
    if (found == running.end()) {
      lines += "  + feed " + feed.name + "\n";
      continue;
    }
    const std::string changes = noticeable_changes(found->second, feed);
    const std::string who = counted(found->second.value("subscribers", 0ULL), "subscriber");
    const bool ends = found->second.value("channel", feed.channel) != feed.channel;
    running.erase(found);
    if (changes.empty()) continue;
    lines += "  ~ feed " + feed.name + ": " + changes + " changed, " + who + " would " +
             (ends ? "be closed (channels have other names)" : "stay") + "\n";
  }
  for (const auto& [name, feed] : running)
    lines += "  - feed " + name + ": " + counted(feed.value("subscribers", 0ULL), "subscriber") +
             " would be closed\n";
  return lines;
}

}  // namespace

std::string preview_reload(const config::Config& next, const json& status) {
  Backends removed = running_backends(status, next);
  std::uint64_t added = 0;
  std::string lines;
  for (const config::Upstream& upstream : next.upstreams) {
    for (const config::BackendConfig& backend : upstream.backends) {
      const std::string name = upstream.name + "/" + backend.address.text;
      if (removed.erase(name) != 0) continue;
      ++added;
      lines += "  + backend " + name + "\n";
    }
  }
  std::map<Fate, std::uint64_t> sessions;
  for (const auto& [name, backend] : removed) {
    const Fate what = fate(next, backend.upstream);
    sessions[what] += backend.sessions;
    lines += "  - backend " + name + ": " + counted(backend.sessions, "session") + " " + words(what) + "\n";
  }
  const std::string feeds = preview_feeds(next, status);
  if (added == 0 && removed.empty()) return "no backend added or removed\n" + feeds;
  std::string summary;
  for (const auto& [what, number] : sessions) {
    if (number == 0) continue;
    summary += (summary.empty() ? ": " : ", ") + counted(number, "session") + " " + words(what);
  }
  if (summary.empty() && !removed.empty()) summary = ": no session would move";
  return counted(added, "backend") + " added, " + grouped(removed.size()) + " removed" + summary + "\n" +
         lines + feeds;
}

}  // namespace holdfast::server
