#pragma once
// What a reload changes, for the log, for POST /reload and for `holdfast check --against`.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "holdfast/config/config.hpp"

namespace holdfast::config {

enum class Thing : std::uint8_t { listener, route, upstream, backend, setting, feed };
enum class ChangeKind : std::uint8_t { added, removed, changed, needs_restart };

struct Change {
  Thing thing;
  ChangeKind kind;
  std::string name;      // listener and route: name; upstream: name; backend: "UPSTREAM/ADDRESS"
  std::string sentence;  // for people: "backend chat/10.0.0.3:9001 added"
};

// Listeners are the same if their listener_key() is, routes if their name is, backends if upstream
// and address are. Order of the result: settings, listeners, upstreams with backends, routes.
[[nodiscard]] std::vector<Change> diff(const Config& old, const Config& now);

[[nodiscard]] std::size_t count(const std::vector<Change>& changes, Thing thing, ChangeKind kind);

// "3 backends added, 1 listener removed", or "no changes".
[[nodiscard]] std::string summary(const std::vector<Change>& changes);

// What makes two listeners of two snapshots the same one: the text of `bind`; with TCP port 0,
// where several listeners may share the text, the name too.
[[nodiscard]] std::string listener_key(const Listener& listener);

}  // namespace holdfast::config
