#include "holdfast/config/diff.hpp"

#include <array>
#include <map>
#include <string_view>
#include <utility>

namespace holdfast::config {
namespace {

constexpr std::array<std::string_view, 6> thing_words{"listener", "route",   "upstream",
                                                      "backend",  "setting", "feed"};
constexpr std::array<std::string_view, 4> kind_words{"added", "removed", "changed", "needs a restart"};

std::string_view word(Thing thing) {
  return thing_words[static_cast<std::size_t>(thing)];
}
std::string_view word(ChangeKind kind) {
  return kind_words[static_cast<std::size_t>(kind)];
}

class Changes {
 public:
  void add(Thing thing, ChangeKind kind, const std::string& name, const std::string& detail = "") {
    std::string sentence(word(thing));
    sentence += " " + name + " " + std::string(word(kind));
    if (!detail.empty()) sentence += ": " + detail;
    list_.push_back({thing, kind, name, std::move(sentence)});
  }
  std::vector<Change> take() { return std::move(list_); }

 private:
  std::vector<Change> list_;
};

// Names the parts that differ: collects words, "tls, limits".
class Parts {
 public:
  template <class T>
  Parts& compare(const char* name, const T& old, const T& now) {
    if (old == now) return *this;
    if (!text_.empty()) text_ += ", ";
    text_ += name;
    return *this;
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
};

std::string parts(const Listener& old, const Listener& now) {
  return Parts{}
      .compare("name", old.name, now.name)
      .compare("address", old.bind, now.bind)
      .compare("tls", old.tls, now.tls)
      .compare("proxy_protocol", old.proxy_protocol, now.proxy_protocol)
      .compare("trusted_peers", old.trusted_peers, now.trusted_peers)
      .compare("max_sessions", old.max_sessions, now.max_sessions)
      .compare("handshake_timeout", old.handshake_timeout, now.handshake_timeout)
      .compare("limits by address or rate", old.protection, now.protection)
      .text();
}

std::string parts(const Route& old, const Route& now) {
  return Parts{}
      .compare("host", old.host, now.host)
      .compare("path", old.path, now.path)
      .compare("listeners", old.listeners, now.listeners)
      .compare("upstream", old.upstream, now.upstream)
      .compare("feed", old.feed, now.feed)
      .compare("max_message", old.max_message, now.max_message)
      .compare("max_message_to_client", old.max_message_to_client, now.max_message_to_client)
      .compare("idle_timeout", old.idle_timeout, now.idle_timeout)
      .compare("max_age", old.max_age, now.max_age)
      .compare("close_timeout", old.close_timeout, now.close_timeout)
      .compare("ping", old.ping, now.ping)
      .compare("reroute", old.reroute, now.reroute)
      .compare("auth", old.auth, now.auth)
      .compare("origins, access or rates", old.protection, now.protection)
      .text();
}

// Backends are compared on their own.
std::string parts(const Upstream& old, const Upstream& now) {
  return Parts{}
      .compare("policy", old.policy, now.policy)
      .compare("hash_balance_factor", old.hash_balance_factor, now.hash_balance_factor)
      .compare("sticky", old.sticky, now.sticky)
      .compare("slow_start", old.slow_start, now.slow_start)
      .compare("queue", old.queue, now.queue)
      .compare("zone_min_percent", old.zone_min_percent, now.zone_min_percent)
      .compare("discover", old.discover, now.discover)
      .compare("tls", old.tls, now.tls)
      .compare("connect_timeout", old.connect_timeout, now.connect_timeout)
      .compare("handshake_timeout", old.handshake_timeout, now.handshake_timeout)
      .compare("setup_timeout", old.setup_timeout, now.setup_timeout)
      .compare("move_rate", old.move_rate, now.move_rate)
      .compare("reroute_rate", old.reroute_rate, now.reroute_rate)
      .compare("rebalance", old.rebalance, now.rebalance)
      .compare("proxy_protocol", old.proxy_protocol, now.proxy_protocol)
      .compare("source", old.source, now.source)
      .compare("probe", old.probe, now.probe)
      .compare("outlier", old.outlier, now.outlier)
      .compare("circuit_breaker", old.circuit_breaker, now.circuit_breaker)
      .text();
}

std::string parts(const Feed& old, const Feed& now) {
  return Parts{}
      .compare("source", old.source, now.source)
      .compare("dialect", std::pair(old.dialect, old.dialect_text), std::pair(now.dialect, now.dialect_text))
      .compare("channel", old.channel, now.channel)
      .compare("join", old.join, now.join)
      .compare("request_timeout", old.request_timeout, now.request_timeout)
      .compare("linger", old.linger, now.linger)
      .compare("flush_interval", old.flush_interval, now.flush_interval)
      .compare("ring", old.ring, now.ring)
      .compare("on_lag", old.on_lag, now.on_lag)
      .compare("slow", old.slow, now.slow)
      .compare("client_messages", old.client_messages, now.client_messages)
      .compare("compression", old.compression, now.compression)
      .compare("max_channels", old.max_channels, now.max_channels)
      .compare("max_channels_per_client", old.max_channels_per_client, now.max_channels_per_client)
      .text();
}

std::string parts(const BackendConfig& old, const BackendConfig& now) {
  return Parts{}
      .compare("resolved address", old.address, now.address)
      .compare("weight", old.weight, now.weight)
      .compare("max_sessions", old.max_sessions, now.max_sessions)
      .compare("backup", old.rank, now.rank)
      .compare("zone", old.zone, now.zone)
      .compare("probe", old.probe, now.probe)
      .text();
}

template <class Item>
const std::string& name_of(const Item& item) {
  return item.name;
}
const std::string& name_of(const BackendConfig& backend) {
  return backend.address.text;
}

template <class Item>
const std::string& key_of(const Item& item) {
  return name_of(item);
}
std::string key_of(const Listener& listener) {
  return listener_key(listener);
}

template <class Item>
std::map<std::string, const Item*> by_key(const std::vector<Item>& items) {
  std::map<std::string, const Item*> out;
  for (const Item& item : items) out.emplace(key_of(item), &item);
  return out;
}

// Reports what differs. Calls inside(old, now) for each item of now; old is null if it is new.
template <class Item, class Inside>
void compare(Thing thing, const std::string& prefix, const std::vector<Item>& old,
             const std::vector<Item>& now, Changes& changes, Inside inside) {
  const auto before = by_key(old);
  const auto after = by_key(now);
  for (const Item& item : old) {
    if (!after.contains(key_of(item))) changes.add(thing, ChangeKind::removed, prefix + name_of(item));
  }
  for (const Item& item : now) {
    const auto found = before.find(key_of(item));
    if (found == before.end()) {
      changes.add(thing, ChangeKind::added, prefix + name_of(item));
    } else {
      const std::string detail = parts(*found->second, item);
      if (!detail.empty()) changes.add(thing, ChangeKind::changed, prefix + name_of(item), detail);
    }
    inside(found == before.end() ? nullptr : found->second, &item);
  }
}

template <class Item>
void compare(Thing thing, const std::string& prefix, const std::vector<Item>& old,
             const std::vector<Item>& now, Changes& changes) {
  compare(thing, prefix, old, now, changes, [](const Item*, const Item*) {});
}

void compare_backends(const Upstream* old, const Upstream* now, Changes& changes) {
  const std::vector<BackendConfig> none;
  const std::string prefix = (now != nullptr ? now : old)->name + "/";
  compare(Thing::backend, prefix, old != nullptr ? old->backends : none,
          now != nullptr ? now->backends : none, changes);
}

void compare_settings(const Config& old, const Config& now, Changes& changes) {
  // What the threads are given at their start.
  if (old.workers != now.workers) changes.add(Thing::setting, ChangeKind::needs_restart, "workers");
  if (old.limits != now.limits) changes.add(Thing::setting, ChangeKind::needs_restart, "limits");
  const auto note = [&](const char* name, const auto& before, const auto& after) {
    if (!(before == after)) changes.add(Thing::setting, ChangeKind::changed, name);
  };
  note("zone", old.zone, now.zone);
  note("admin", old.admin, now.admin);
  note("log", old.log, now.log);
  note("shutdown_delay", old.shutdown_delay, now.shutdown_delay);
  note("shutdown_timeout", old.shutdown_timeout, now.shutdown_timeout);
}

// First match wins, so the same routes in another order are another configuration.
bool same_order(const std::vector<Route>& old, const std::vector<Route>& now) {
  const auto before = by_key(old);
  const auto after = by_key(now);
  std::vector<std::string> kept_before;
  std::vector<std::string> kept_after;
  for (const Route& route : old) {
    if (after.contains(route.name)) kept_before.push_back(route.name);
  }
  for (const Route& route : now) {
    if (before.contains(route.name)) kept_after.push_back(route.name);
  }
  return kept_before == kept_after;
}

}  // namespace

std::string listener_key(const Listener& listener) {
  const bool any_port = listener.bind.kind == AddressKind::tcp && listener.bind.port == 0;
  return any_port ? listener.bind.text + " " + listener.name : listener.bind.text;
}

std::vector<Change> diff(const Config& old, const Config& now) {
  Changes changes;
  compare_settings(old, now, changes);
  compare(Thing::listener, "", old.listeners, now.listeners, changes);
  const auto present = by_key(now.upstreams);
  for (const Upstream& upstream : old.upstreams) {
    if (!present.contains(upstream.name)) compare_backends(&upstream, nullptr, changes);
  }
  compare(Thing::upstream, "", old.upstreams, now.upstreams, changes,
          [&](const Upstream* before, const Upstream* after) { compare_backends(before, after, changes); });
  compare(Thing::feed, "", old.feeds, now.feeds, changes);
  compare(Thing::route, "", old.routes, now.routes, changes);
  if (!same_order(old.routes, now.routes))
    changes.add(Thing::setting, ChangeKind::changed, "order of routes");
  return changes.take();
}

std::size_t count(const std::vector<Change>& changes, Thing thing, ChangeKind kind) {
  std::size_t out = 0;
  for (const Change& change : changes) {
    if (change.thing == thing && change.kind == kind) ++out;
  }
  return out;
}

std::string summary(const std::vector<Change>& changes) {
  std::string out;
  for (std::size_t thing = 0; thing < thing_words.size(); ++thing) {
    for (std::size_t kind = 0; kind < kind_words.size(); ++kind) {
      const std::size_t number = count(changes, static_cast<Thing>(thing), static_cast<ChangeKind>(kind));
      if (number == 0) continue;
      if (!out.empty()) out += ", ";
      out += std::to_string(number) + " " + std::string(thing_words[thing]) + (number == 1 ? " " : "s ");
      const bool several_need = number > 1 && static_cast<ChangeKind>(kind) == ChangeKind::needs_restart;
      out += several_need ? "need a restart" : std::string(kind_words[kind]);
    }
  }
  return out.empty() ? "no changes" : out;
}

}  // namespace holdfast::config
