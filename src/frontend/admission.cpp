#include "frontend/admission.hpp"

#include <algorithm>

namespace holdfast::frontend {

using metrics::HandshakeResult;
using metrics::Refusal;

namespace {

// Where nobody can know when there is a place again.
constexpr std::uint32_t retry_after_full = 2;
constexpr std::uint32_t retry_after_pending = 1;
constexpr std::uint32_t most_retry_after = 3600;
// Of a whole listener, the answers that say no: at least so many a second, else as many as it lets in.
constexpr std::uint64_t least_answers = 100;

std::uint32_t seconds_of(std::uint32_t wait_ms) {
  return std::clamp((wait_ms + 999) / 1000, 1U, most_retry_after);
}

std::optional<Refused> judge_address(const ListenerEntry& listener, const config::SocketAddress& client,
                                     Tick now, session::ListenerSeat& seat) {
  const config::ListenerProtection& limits = listener.settings.protection;
  const session::AddressTable::Rules rules{limits.max_sessions_per_ip, limits.rate_per_ip()};
  if (rules.are_off()) return std::nullopt;
  const auto key = session::AddressTable::key_of(client);
  if (!key) return std::nullopt;
  auto answer = listener.state->addresses.enter(*key, rules, now);
  const unsigned status = answer.may_be_told ? 429 : 0;
  switch (answer.verdict) {
    case session::AddressTable::Verdict::too_many:
      return Refused{Refusal::max_sessions_per_ip, status, "this address has max_sessions_per_ip already",
                     retry_after_full};
    case session::AddressTable::Verdict::too_fast:
      return Refused{Refusal::max_handshakes_per_second_per_ip, status,
                     "more than max_handshakes_per_second_per_ip of this address",
                     seconds_of(answer.wait_ms)};
    case session::AddressTable::Verdict::welcome:
      break;
  }
  seat.count_for(std::move(answer.place));
  return std::nullopt;
}

}  // namespace

HandshakeResult Refused::result() const noexcept {
  if (why == Refusal::denied || why == Refusal::origin) return HandshakeResult::forbidden;
  if (status == 0) return HandshakeResult::unanswered;
  if (status == 429) return HandshakeResult::client_limit;
  const bool of_upstream = why == Refusal::circuit_sessions || why == Refusal::circuit_pending;
  return of_upstream ? HandshakeResult::overload : HandshakeResult::limit;
}

std::string Refused::retry_after() const {
  return retry_after_s == 0 ? "" : "Retry-After: " + std::to_string(retry_after_s) + "\r\n";
}

// An address over its own limits uses up nothing of the listener's.
std::optional<Refused> admit(const ListenerEntry& listener, const config::SocketAddress& client, Tick now,
                             std::optional<session::ListenerSeat>& seat) {
  const config::ListenerProtection& limits = listener.settings.protection;
  if (!limits.access.admits(client)) return Refused{Refusal::denied, 0, "its address is denied", 0};
  Rate rate = limits.rate();
  std::optional<Refused> refused;
  if (!seat) {
    refused = Refused{Refusal::max_sessions, 503, "this listener has max_sessions already", retry_after_full};
  } else {
    refused = judge_address(listener, client, now, *seat);
    if (refused || !rate.is_limit()) return refused;
  }
  ListenerState& state = *listener.state;
  const std::lock_guard lock(state.meters_mutex);
  if (!refused) {
    if (state.rate.take(rate, now)) return std::nullopt;
    refused = Refused{Refusal::max_handshakes_per_second, 503,
                      "more than max_handshakes_per_second of this listener",
                      seconds_of(state.rate.wait_ms(rate, now))};
  }
  const std::uint64_t answers = std::max(rate.per_second, least_answers);
  if (!state.told.take({answers, answers}, now)) refused->status = 0;
  return refused;
}

std::optional<Refused> admit(const RouteEntry& route, const config::SocketAddress& client,
                             const ws::RequestHead& head) {
  if (!route.access.admits(client))
    return Refused{Refusal::denied, 403, "its address is denied by the route", 0};
  if (route.origins.empty() && route.require_origin == config::RouteProtection::Origin::optional)
    return std::nullopt;
  const auto origin = head.find("Origin");
  if (!origin) {
    if (route.require_origin == config::RouteProtection::Origin::optional) return std::nullopt;
    return Refused{Refusal::origin, 403, "no Origin, which this route requires", 0};
  }
  const bool only_one = head.count("Origin") == 1;
  const auto means_it = [&](const config::OriginPattern& pattern) { return pattern.matches(*origin); };
  if (only_one && (route.origins.empty() || std::ranges::any_of(route.origins, means_it)))
    return std::nullopt;
  return Refused{Refusal::origin, 403, "its Origin is not among the route's origins", 0};
}

std::optional<Refused> admit(upstream::UpstreamState& state, upstream::Circuit::Place& session) {
  auto place = state.circuit().begin_session();
  if (!place)
    return Refused{Refusal::circuit_sessions, 503,
                   "upstream " + state.name() + " has circuit_breaker.max_sessions already",
                   retry_after_full};
  session = std::move(*place);
  return std::nullopt;
}

std::optional<Refused> admit_dial(upstream::UpstreamState& state, upstream::Circuit::Place& dial) {
  auto place = state.circuit().begin_dial();
  if (!place) {
    state.circuit().count(upstream::Circuit::Break::pending);
    return Refused{Refusal::circuit_pending, 503,
                   "upstream " + state.name() + " has circuit_breaker.max_pending dials under way",
                   retry_after_pending};
  }
  dial = std::move(*place);
  return std::nullopt;
}

}  // namespace holdfast::frontend
