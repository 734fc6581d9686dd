#include "server/movements.hpp"

#include <algorithm>
#include <utility>

#include "server/rebalance.hpp"

namespace holdfast::server {

namespace {

constexpr std::chrono::seconds first_wait{1};
constexpr std::chrono::seconds longest_wait{60};
/// A move waits up to 5 s for a boundary, and its old leg lives up to `close_timeout` longer.
constexpr std::chrono::seconds order_timeout{10};
/// Sessions that don't move for so long won't: their routes keep them, or nobody has room.
constexpr std::chrono::seconds patience{30};

/// Why the sessions of a member of the present snapshot should not be there, if so.
std::optional<Cause> cause_to_leave(const upstream::Backend& backend) {
  if (backend.admin_state() == upstream::AdminState::disabled) return Cause::disabled;
  if (backend.admin_state() == upstream::AdminState::draining) return Cause::draining;
  if (backend.health() == upstream::Health::unhealthy) return Cause::unhealthy;
  return std::nullopt;
}

std::vector<std::uint64_t> excess_of(const dial::Destination& destination, std::uint32_t threshold) {
  std::vector<Share> shares;
  const upstream::Upstream& upstream = *destination.upstream;
  const std::vector<char> part = upstream.taking_part();
  const TimePoint now = Clock::now();
  for (std::size_t n = 0; n < part.size(); ++n) {
    const upstream::Backend& backend = *upstream.backends()[n];
    // Weight 0 takes no part, nor does a backend that can't take any; one in its slow start has less of one.
    const bool counts = backend.eligible() && part[n] != 0;
    shares.push_back({backend.sessions(), counts ? backend.weight() * upstream.ramp(backend, now) : 0,
                      backend.max_sessions(), backend.eligible() && part[n] == 0});
  }
  return excess(shares, threshold);
}

}  // namespace

const dial::Destination* Movements::find(const std::string& upstream) const {
  const auto found = by_name_.find(upstream);
  return found == by_name_.end() ? nullptr : found->second;
}

void Movements::apply(const Destinations& destinations, TimePoint now) {
  const Destinations before = std::exchange(destinations_, destinations);
  Present present;
  by_name_.clear();
  for (const auto& destination : destinations_) {
    by_name_.emplace(destination->settings.name, destination.get());
    for (const auto& backend : destination->upstream->backends()) present.insert(backend.get());
  }
  forget_present(present);
  remove_missing(before, present, now);
  std::erase_if(evenings_, [&](const auto& entry) { return find(entry.first) == nullptr; });
  // There may be new members, weights and limits.
  for (const auto& destination : destinations_) refreshed_.insert(destination->settings.name);
}

// Those that a reload brought back, and those whose upstream is gone (its sessions are being closed).
void Movements::forget_present(const Present& present) {
  std::erase_if(removed_, [&](const Removed& removed) {
    return present.contains(removed.backend.get()) || find(removed.backend->upstream()) == nullptr;
  });
}

void Movements::remove_missing(const Destinations& before, const Present& present, TimePoint now) {
  Backends with_sessions;
  for (const auto& destination : before) {
    if (find(destination->settings.name) == nullptr) continue;
    for (const auto& backend : destination->upstream->backends()) {
      if (present.contains(backend.get())) continue;
      if (backend->sessions() != 0) with_sessions.push_back(backend);
      removed_.push_back({backend, now, first_wait, now + first_wait});
    }
  }
  if (!with_sessions.empty()) tell_(with_sessions, Cause::removed, everybody);
}

void Movements::leaves(const std::shared_ptr<upstream::Backend>& backend, Cause cause) {
  tell_({backend}, cause, everybody);
}

void Movements::refresh(const dial::Destination& destination, TimePoint now, Orders& orders) {
  for (const auto& backend : destination.upstream->backends()) {
    const auto cause = cause_to_leave(*backend);
    if (cause && backend->sessions() != 0) orders[*cause].push_back(backend);
  }
  const std::uint32_t threshold = destination.settings.rebalance.threshold;
  if (threshold == 0) return;
  Evening& evening = evenings_[destination.settings.name];
  evening.threshold = threshold;
  evening.progress_at = now;
}

std::optional<std::vector<Movements::Excess>> Movements::rebalance(const std::string& upstream,
                                                                   TimePoint now) {
  const dial::Destination* destination = find(upstream);
  if (destination == nullptr) return std::nullopt;
  const std::uint32_t wanted = destination->settings.rebalance.threshold;
  Evening& evening = evenings_[upstream];
  evening.threshold = wanted == 0 ? threshold_on_request : wanted;
  evening.progress_at = now;
  const std::vector<std::uint64_t> above = excess_of(*destination, evening.threshold);
  std::vector<Excess> out;
  for (std::size_t n = 0; n < above.size(); ++n)
    out.push_back({destination->upstream->backends()[n]->address(), above[n]});
  return out;
}

void Movements::tick(TimePoint now) {
  if (now < look_at_) return;
  look_at_ = now + look_period;
  const std::set<std::string> refreshed = std::exchange(refreshed_, {});
  Orders orders;
  for (const std::string& upstream : refreshed) {
    if (const dial::Destination* destination = find(upstream)) refresh(*destination, now, orders);
  }
  for (Removed& removed : removed_) {
    if (refreshed.contains(removed.backend->upstream())) removed.again_at = now;
  }
  for (const auto& [cause, backends] : orders) tell_(backends, cause, everybody);
  tell_removed(now);
  for (auto entry = evenings_.begin(); entry != evenings_.end();) {
    const bool goes_on = even_out(*find(entry->first), entry->second, now);
    entry = goes_on ? std::next(entry) : evenings_.erase(entry);
  }
}

void Movements::tell_removed(TimePoint now) {
  std::erase_if(removed_, [now](const Removed& removed) {
    // A handshake that was under way at the reload has a seat or will have one within its time limits.
    return now - removed.since > longest_wait && removed.backend->sessions() == 0;
  });
  Backends with_sessions;
  for (Removed& removed : removed_) {
    if (now < removed.again_at) continue;
    removed.wait = std::min(removed.wait * 2, longest_wait);
    removed.again_at = now + removed.wait;
    if (removed.backend->sessions() != 0) with_sessions.push_back(removed.backend);
  }
  if (!with_sessions.empty()) tell_(with_sessions, Cause::removed, everybody);
}

bool Movements::even_out(const dial::Destination& destination, Evening& evening, TimePoint now) {
  const std::vector<std::uint64_t> above = excess_of(destination, evening.threshold);
  std::uint64_t left = destination.settings.rebalance.rate;
  bool finished = true;
  for (std::size_t n = 0; n < above.size(); ++n) {
    const auto& backend = destination.upstream->backends()[n];
    const bool free = is_free(*backend, evening, now);
    finished = finished && free && above[n] == 0;
    const std::uint64_t most = free ? std::min(above[n], left) : 0;
    if (most == 0) continue;
    left -= most;
    const std::uint64_t present = std::max<std::uint64_t>(backend->sessions(), most);
    evening.orders[backend.get()] = {present - most, backend->reroutes_from(), now + order_timeout};
    tell_({backend}, Cause::rebalance, most);
  }
  return !finished && now - evening.progress_at < patience;
}

bool Movements::is_free(const upstream::Backend& backend, Evening& evening, TimePoint now) {
  const auto found = evening.orders.find(&backend);
  if (found == evening.orders.end()) return true;
  Order& order = found->second;
  if (backend.reroutes_from() != order.rerouted_before) {
    order.rerouted_before = backend.reroutes_from();
    evening.progress_at = now;
  }
  if (backend.sessions() > order.until_sessions && now < order.given_up_at) return false;
  evening.orders.erase(found);
  return true;
}

}  // namespace holdfast::server
