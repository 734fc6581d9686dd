#include "config/validate.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <unordered_set>
#include <utility>

#include "config/source.hpp"
#include "config/validate_balancing.hpp"
#include "config/validate_feed.hpp"

namespace holdfast::config {
namespace {

std::string indexed(const std::string& list, std::size_t index) {
  return list + "[" + std::to_string(index) + "]";
}

bool has(const std::vector<Occasion>& occasions, Occasion occasion) {
  return std::find(occasions.begin(), occasions.end(), occasion) != occasions.end();
}

// Remembers where each text stood first. Empty texts are values that an earlier phase refused.
class Uniqueness {
 public:
  explicit Uniqueness(Problems& problems) : problems_(problems) {}

  void check(const std::string& text, const std::string& place, const std::string& what) {
    check(text, text, place, what);
  }
  // `key` is compared, `text` is shown.
  void check(const std::string& key, const std::string& text, const std::string& place,
             const std::string& what) {
    if (key.empty()) return;
    const auto [found, is_new] = first_.try_emplace(key, place);
    if (!is_new) problems_.error(place, "is " + quote(text) + ", " + what + " " + found->second);
  }

 private:
  Problems& problems_;
  std::map<std::string, std::string> first_;
};

// "0.0.0.0:80" and "*:80" are one socket; port 0 is another one each time.
std::string socket_key(const Address& address) {
  if (address.kind == AddressKind::passed) return "fd:" + address.path;
  if (address.kind == AddressKind::unix_path) return "unix:" + address.path;
  if (address.port == 0 || address.host.empty()) return {};
  std::string host = address.host == "*" ? "0.0.0.0" : address.host;
  std::transform(host.begin(), host.end(), host.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return host + " port " + std::to_string(address.port);
}

void check_listeners(const Config& config, Problems& problems) {
  Uniqueness names(problems);
  Uniqueness binds(problems);
  for (std::size_t i = 0; i < config.listeners.size(); ++i) {
    const Listener& listener = config.listeners[i];
    const std::string place = indexed("listeners", i);
    binds.check(socket_key(listener.bind), listener.bind.text, place + ".bind", "the same socket as");
    const bool trusts_nobody = listener.bind.kind == AddressKind::tcp && listener.trusted_peers.empty();
    if (listener.proxy_protocol == Listener::ProxyHeader::required && trusts_nobody) {
      problems.error(place + ".proxy_protocol",
                     "is true without trusted_peers: nobody could connect; name the load balancers there");
    }
    // A name taken from the bind repeats with it: one message is enough.
    if (!problems.has(place + ".bind")) names.check(listener.name, place + ".name", "already the name of");
  }
  if (!config.admin.bind) return;
  binds.check(socket_key(*config.admin.bind), config.admin.bind->text, "admin.bind", "the same socket as");
}

void check_upstreams(const Config& config, Problems& problems) {
  Uniqueness names(problems);
  for (std::size_t i = 0; i < config.upstreams.size(); ++i) {
    const Upstream& upstream = config.upstreams[i];
    const std::string place = indexed("upstreams", i);
    names.check(upstream.name, place + ".name", "already the name of");
    validate_health(upstream, place, problems);
    validate_discovery(upstream, place, problems);
    Uniqueness addresses(problems);
    for (std::size_t j = 0; j < upstream.backends.size(); ++j) {
      addresses.check(upstream.backends[j].address.text, indexed(place + ".backends", j) + ".address",
                      "the same address as");
    }
  }
}

// What a route may refer to: looked up by thousands of them.
class Names {
 public:
  template <class Item>
  explicit Names(const std::vector<Item>& items) {
    for (const Item& item : items) list_.push_back(item.name);
    known_.insert(list_.begin(), list_.end());
  }
  [[nodiscard]] bool has(const std::string& name) const { return known_.contains(name); }
  [[nodiscard]] const std::vector<std::string>& list() const { return list_; }

 private:
  std::vector<std::string> list_;
  std::unordered_set<std::string> known_;
};

void check_reference(const std::string& name, const Names& names, const char* what, const std::string& place,
                     Problems& problems) {
  if (name.empty() || names.has(name)) return;
  std::string hint = did_you_mean(name, names.list());
  if (hint.empty() && names.list().size() <= 20) {
    hint = "; there are:";
    for (const std::string& known : names.list()) hint += " " + known;
  }
  problems.error(place, "is " + quote(name) + ", which is not the name of " + what + hint);
}

void check_route(const Route& route, const std::string& place, const Names& upstreams, const Names& listeners,
                 Problems& problems) {
  const bool unsaid = route.upstream.empty() && route.feed.empty();
  if (unsaid && upstreams.list().size() > 1)
    problems.error(place + ".upstream", "is missing: there are several upstreams");
  if (unsaid && upstreams.list().empty()) problems.error(place, "must have an upstream or a feed");
  check_reference(route.upstream, upstreams, "an upstream", place + ".upstream", problems);
  for (std::size_t i = 0; i < route.listeners.size(); ++i) {
    check_reference(route.listeners[i], listeners, "a listener", indexed(place + ".listeners", i), problems);
  }
}

// Codes that a Close frame may carry (RFC 6455 section 7.4, as assigned today).
bool may_be_sent(std::uint16_t code) {
  const bool assigned = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
  return assigned || code >= 3000 || code == Reroute::no_code;
}

// What can't work together; what only does less than it seems to is a warning.
void check_reroute(const Config& config, const Reroute& reroute, const std::string& place,
                   Problems& problems) {
  const auto needs = [&](const char* key, const char* what) { problems.error(place + "." + key, what); };
  for (std::size_t i = 0; i < reroute.close_codes.size(); ++i) {
    if (may_be_sent(reroute.close_codes[i])) continue;
    problems.error(indexed(place + ".close_codes", i),
                   "is " + std::to_string(reroute.close_codes[i]) +
                       ", must be 1000-1003, 1007-1014, 3000-4999 or \"none\": no Close has another code");
  }
  if (reroute.preamble_answers > 0 && reroute.preamble == 0)
    needs("preamble_answers", "needs a preamble: there is nothing to be answered");
  if (reroute.preamble_answers > 0 && reroute.compression == Compression::pass)
    needs("preamble_answers",
          "can't be had with compression \"pass\": swallowed answers may be what later ones refer to");
  if (reroute.preamble > 0 && reroute.hold_bytes == 0)
    needs("preamble", "needs hold_bytes: it is kept within them");
  if (reroute.hold_unit == HoldUnit::message && reroute.hold_bytes == 0)
    needs("hold_unit", "is \"message\", which needs hold_bytes");
  const std::uint64_t most = config.limits.hold_memory;
  if (reroute.hold_bytes > most) needs("hold_bytes", "must not be more than limits.hold_memory");
  if (reroute.resend_unanswered > most)
    needs("resend.unanswered", "must not be more than limits.hold_memory");
  if (reroute.hold.count() == 0 && has(reroute.on, Occasion::lost))
    problems.warning(
        place + ".hold",
        "is 0: a session whose backend is lost is closed at once, as without \"lost\" in \"on\"");
}

bool takes_everything(const Route& route) {
  return route.host.empty() && (route.path.empty() || route.path == "/*") && route.listeners.empty();
}

void check_routes(const Config& config, Problems& problems) {
  if (config.routes.empty() && config.upstreams.size() > 1) {
    problems.error("routes", "is missing: there are several upstreams");
  } else if (config.routes.empty() && !config.feeds.empty()) {
    problems.error("routes", "is missing: a feed has clients only by a route");
  }
  const Names upstreams(config.upstreams);
  const Names listeners(config.listeners);
  Uniqueness names(problems);
  std::set<std::string> used;
  const Route* catch_all = nullptr;
  for (std::size_t i = 0; i < config.routes.size(); ++i) {
    const Route& route = config.routes[i];
    check_route(route, indexed("routes", i), upstreams, listeners, problems);
    check_reroute(config, route.reroute, indexed("routes", i) + ".reroute", problems);
    if (route.auth) validate_auth(*route.auth, indexed("routes", i) + ".auth", problems);
    names.check(route.name, indexed("routes", i) + ".name", "already the name of");
    used.insert(route.upstream);
    if (catch_all != nullptr) {
      problems.warning(indexed("routes", i),
                       "is never reached: route " + quote(catch_all->name) + " takes everything");
    } else if (takes_everything(route)) {
      catch_all = &route;
    }
  }
  for (const Feed& feed : config.feeds) used.insert(feed.source.upstream);
  for (std::size_t i = 0; i < config.upstreams.size(); ++i) {
    const std::string& name = config.upstreams[i].name;
    if (!used.contains(name)) problems.warning(indexed("upstreams", i), quote(name) + " is used by no route");
  }
}

// An upstream that evens out sessions which none of its routes lets go.
void check_rebalance(const Config& config, Problems& problems) {
  std::set<std::string> let_go;
  for (const Route& route : config.routes) {
    if (has(route.reroute.on, Occasion::rebalance)) let_go.insert(route.upstream);
  }
  for (std::size_t i = 0; i < config.upstreams.size(); ++i) {
    const Upstream& upstream = config.upstreams[i];
    if (upstream.rebalance.threshold == 0 || let_go.contains(upstream.name)) continue;
    problems.warning(
        indexed("upstreams", i) + ".rebalance",
        "moves nothing: no route to " + quote(upstream.name) + " has \"rebalance\" in reroute.on");
  }
}

void check_admin(const Admin& admin, Problems& problems) {
  if (admin.bind && admin.bind->kind == AddressKind::passed) {
    problems.error("admin.bind", "is " + quote(admin.bind->text) + ", only listeners may use passed sockets");
  }
  const bool open = admin.bind && !is_loopback(*admin.bind) && admin.token_file.empty();
  if (!open) return;
  problems.error("admin.bind",
                 "is " + quote(admin.bind->text) +
                     ", must be a loopback address or a unix socket unless admin.token_file is set");
}

}  // namespace

void validate(const Config& config, Problems& problems) {
  check_listeners(config, problems);
  check_upstreams(config, problems);
  check_routes(config, problems);
  check_rebalance(config, problems);
  check_balancing(config, problems);
  check_sources(config, problems);
  check_admin(config.admin, problems);
  validate_protection(config, problems);
  validate_feeds(config, problems);
}

}  // namespace holdfast::config
