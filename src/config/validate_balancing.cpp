#include "config/validate_balancing.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

namespace holdfast::config {
namespace {

class Doubts {
 public:
  Doubts(const Upstream& upstream, std::string place, Problems& problems)
      : upstream_(upstream), place_(std::move(place)), problems_(problems) {}

  void stickiness() const {
    if (!upstream_.sticky) return;
    const Policy& policy = upstream_.policy;
    if (policy.kind != PolicyKind::hash) return;
    if (policy.on == HashOn::cookie && policy.name == upstream_.sticky->cookie) {
      return say("policy",
                 "hashes the sticky cookie, whose value changes with every session: clients would be "
                 "spread at random; leave out sticky or hash another cookie");
    }
    say("sticky",
        "comes before the policy " + quote(to_string(policy)) +
            ": only clients without a valid cookie are hashed, so a key's clients may be on several "
            "backends");
  }

  // `first`: where each cookie's name was met first.
  void cookies(std::map<std::string, std::string>& first) const {
    if (!upstream_.sticky) return;
    const auto [found, is_new] = first.try_emplace(upstream_.sticky->cookie, place_);
    if (!is_new)
      say("sticky.cookie", "is also the cookie of " + found->second +
                               ": a browser that uses both keeps only the later one's, give them two names");
  }

  void evenness() const {
    if (upstream_.policy.kind == PolicyKind::hash && upstream_.rebalance.threshold != 0)
      say("rebalance",
          "moves sessions away from the backends that their keys belong to; hash_balance_factor "
          "bounds the load of a hash policy");
  }

  void ranks() const {
    const bool only_backups = std::ranges::all_of(upstream_.backends, [](const BackendConfig& backend) {
      return backend.rank == BackendConfig::Rank::backup || backend.weight == 0;
    });
    const bool some = std::ranges::any_of(upstream_.backends, &is_backup);
    if (some && only_backups) say("backends", "are all backups: they are used as if they were not");
  }

  void waiting() const {
    const bool bounded = std::ranges::any_of(
        upstream_.backends, [](const BackendConfig& backend) { return backend.max_sessions != 0; });
    if (upstream_.queue.length == 0) return;
    if (!bounded && !upstream_.discover) say("queue", "is never used: no backend has max_sessions");
    if (upstream_.queue.timeout >= upstream_.setup_timeout)
      say("queue.timeout", "is not shorter than setup_timeout, which ends the wait first");
  }

  void zones(const std::string& own) const {
    const auto has_zone = [](const BackendConfig& backend) { return !backend.zone.empty(); };
    if (std::ranges::none_of(upstream_.backends, has_zone)) return;
    if (own.empty()) return say("backends", "have zones, which play no role: this proxy has none (\"zone\")");
    if (std::ranges::none_of(upstream_.backends, [&](const BackendConfig& b) { return b.zone == own; }))
      say("backends", "have zones, but none is in this proxy's, " + quote(own));
  }

 private:
  static bool is_backup(const BackendConfig& backend) { return backend.rank == BackendConfig::Rank::backup; }
  void say(const char* key, std::string what) const {
    problems_.warning(place_ + "." + key, std::move(what));
  }

  const Upstream& upstream_;
  std::string place_;
  Problems& problems_;
};

}  // namespace

void check_balancing(const Config& config, Problems& problems) {
  std::map<std::string, std::string> cookies;
  for (std::size_t n = 0; n < config.upstreams.size(); ++n) {
    const Doubts doubts(config.upstreams[n], "upstreams[" + std::to_string(n) + "]", problems);
    doubts.stickiness();
    doubts.cookies(cookies);
    doubts.evenness();
    doubts.ranks();
    doubts.waiting();
    doubts.zones(config.zone);
  }
}

}  // namespace holdfast::config
