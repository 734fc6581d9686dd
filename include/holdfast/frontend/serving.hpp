#pragma once
// What the setup threads need of one snapshot: listeners, routes in order, upstreams. Made by the control
// thread, immutable, swapped whole; a connection keeps the one it began with.

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/config/config.hpp"
#include "holdfast/config/match.hpp"
#include "holdfast/config/origin.hpp"
#include "holdfast/dial/dial.hpp"
#include "holdfast/feed/state.hpp"
#include "holdfast/frontend/route_auth.hpp"
#include "holdfast/net/tls.hpp"
#include "holdfast/session/handover.hpp"
#include "holdfast/session/route_state.hpp"
#include "holdfast/ws/handshake.hpp"

namespace holdfast::frontend {

/// What is known of a listener across snapshots, by name; lives as long as the process.
struct ListenerState {
  std::string name;
  session::ListenerLoad load;
  session::AddressTable addresses;
  std::mutex meters_mutex;                     ///< of the two below
  Meter rate;                                  ///< of handshakes
  Meter told;                                  ///< of answers that say no
  std::vector<metrics::ListenerCells*> cells;  ///< one per setup thread
};

struct ListenerEntry {
  std::string key;  ///< config::listener_key
  config::Listener settings;
  std::shared_ptr<const net::TlsServer> tls;  ///< null = plain
  ListenerState* state = nullptr;
};

struct RouteEntry {
  config::HostPattern host;
  config::PathPattern path;
  std::vector<std::string> listeners;  ///< names; empty = all
  session::RouteState* state = nullptr;
  std::shared_ptr<const dial::Destination> destination;  ///< null where it leads to a feed
  feed::FeedState* feed = nullptr;
  std::shared_ptr<const config::Feed> feed_settings;
  std::shared_ptr<const dialect::Dialect> dialect;
  std::vector<config::OriginPattern> origins;  ///< empty = any
  config::RouteProtection::Origin require_origin = config::RouteProtection::Origin::optional;
  config::Access access;
  std::shared_ptr<const config::Reroute> reroute;  ///< never null in a snapshot that serves
  std::shared_ptr<const RouteAuth> auth;           ///< null = anybody may have a session
  /// Open-session gauges, [listener in the order of Serving::listeners][pump thread].
  std::vector<std::vector<metrics::SessionCells*>> open_sessions;
};

/// By name of the feed.
using Dialects = std::map<std::string, std::shared_ptr<const dialect::Dialect>>;

struct Serving {
  std::uint64_t generation = 0;
  std::vector<ListenerEntry> listeners;
  std::vector<RouteEntry> routes;
  std::vector<std::shared_ptr<const dial::Destination>> destinations;
  Dialects dialects;

  /// Null when the snapshot has no such listener (any more).
  [[nodiscard]] const ListenerEntry* find_listener(std::string_view key) const noexcept;
  /// The first route that takes this request on this listener, or null.
  [[nodiscard]] const RouteEntry* match(const ListenerEntry& listener,
                                        const ws::ClientHandshake& request) const noexcept;
  [[nodiscard]] std::size_t index_of(const ListenerEntry& listener) const noexcept {
    return static_cast<std::size_t>(&listener - listeners.data());
  }
};

/// The one pointer to the present snapshot. Any thread; read once per accepted connection. A mutex, because
/// libstdc++ 12's std::atomic<std::shared_ptr> unlocks its readers without a release (ThreadSanitizer is
/// right).
class Present {
 public:
  [[nodiscard]] std::shared_ptr<const Serving> get() const {
    const std::lock_guard lock(mutex_);
    return serving_;
  }
  void set(std::shared_ptr<const Serving> serving) {
    const std::lock_guard lock(mutex_);
    serving_.swap(serving);  // the old one dies after the lock
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Serving> serving_;
};

}  // namespace holdfast::frontend
