#include "server/preview.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
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
  if (added == 0 && removed.empty()) return "no backend added or removed\n";
  std::string summary;
  for (const auto& [what, number] : sessions) {
    if (number == 0) continue;
    summary += (summary.empty() ? ": " : ", ") + counted(number, "session") + " " + words(what);
  }
  if (summary.empty() && !removed.empty()) summary = ": no session would move";
  return counted(added, "backend") + " added, " + grouped(removed.size()) + " removed" + summary + "\n" +
         lines;
}

}  // namespace holdfast::server
