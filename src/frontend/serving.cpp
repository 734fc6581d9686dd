#include "holdfast/frontend/serving.hpp"

#include <algorithm>

namespace holdfast::frontend {

const ListenerEntry* Serving::find_listener(std::string_view key) const noexcept {
  const auto found = std::ranges::find(listeners, key, &ListenerEntry::key);
  return found == listeners.end() ? nullptr : &*found;
}

const RouteEntry* Serving::match(const ListenerEntry& listener,
                                 const ws::ClientHandshake& request) const noexcept {
  const std::string_view host = config::host_without_port(request.host);
  for (const RouteEntry& route : routes) {
    const bool on_listener =
        route.listeners.empty() ||
        std::ranges::find(route.listeners, listener.settings.name) != route.listeners.end();
    if (on_listener && route.host.matches(host) && route.path.matches(request.path)) return &route;
  }
  return nullptr;
}

}  // namespace holdfast::frontend
