#include "server/protection_status.hpp"

namespace holdfast::server {

namespace {

using upstream::Circuit;

std::size_t addresses_of(const frontend::ListenerEntry& listener) {
  const config::ListenerProtection& limits = listener.settings.protection;
  return listener.state->addresses.count({limits.max_sessions_per_ip, limits.rate_per_ip()},
                                         to_tick(Clock::now()));
}

}  // namespace

nlohmann::json protection_status(const frontend::ListenerEntry& listener) {
  nlohmann::json refusals = nlohmann::json::object();
  for (std::size_t n = 0; n < metrics::refusal_count; ++n) {
    std::uint64_t count = 0;
    for (const metrics::ListenerCells* cells : listener.state->cells) count += cells->refusals[n].value();
    refusals[std::string(metrics::text(static_cast<metrics::Refusal>(n)))] = count;
  }
  const config::ListenerProtection& limits = listener.settings.protection;
  return {{"connections", listener.state->load.connections.load(std::memory_order_relaxed)},
          {"max_sessions", listener.settings.max_sessions},
          {"max_sessions_per_ip", limits.max_sessions_per_ip},
          {"max_handshakes_per_second", limits.max_handshakes_per_second},
          {"max_handshakes_per_second_per_ip", limits.max_handshakes_per_second_per_ip},
          {"client_addresses", addresses_of(listener)},
          {"refusals", std::move(refusals)}};
}

nlohmann::json protection_status(const frontend::RouteEntry& route) {
  const auto value = [](const auto& limit) { return limit.load(std::memory_order_relaxed); };
  const session::RouteState& state = *route.state;
  return {{"origins", route.origins.size()},
          {"max_message", value(state.max_message)},
          {"max_fragments", value(state.max_fragments)},
          {"max_messages_per_second", value(state.max_messages_per_second)},
          {"max_bytes_per_second", value(state.max_bytes_per_second)},
          {"rate_mode", config::to_string(value(state.rate_mode))}};
}

nlohmann::json circuit_status(upstream::UpstreamState& state) {
  const Circuit& circuit = state.circuit();
  nlohmann::json breaks = nlohmann::json::object();
  for (std::size_t n = 0; n < Circuit::break_count; ++n) {
    const auto which = static_cast<Circuit::Break>(n);
    breaks[std::string(Circuit::text(which))] = circuit.breaks(which);
  }
  return {{"sessions", circuit.sessions()},
          {"max_sessions", circuit.most_sessions()},
          {"pending", circuit.pending()},
          {"max_pending", circuit.most_pending()},
          {"retries_exhausted", state.retries().is_exhausted(Clock::now())},
          {"breaks", std::move(breaks)}};
}

void sample_protection(const frontend::Serving& serving, metrics::Sample& sample) {
  for (const frontend::ListenerEntry& listener : serving.listeners)
    sample.addresses.push_back({listener.settings.name, addresses_of(listener)});
  for (const auto& destination : serving.destinations) {
    const Circuit& circuit = destination->upstream->state().circuit();
    metrics::CircuitSample one{destination->settings.name, circuit.sessions(), circuit.pending(), {}, 0};
    for (std::size_t n = 0; n < Circuit::break_count; ++n) {
      const auto which = static_cast<Circuit::Break>(n);
      one.breaks.push_back({std::string(Circuit::text(which)), circuit.breaks(which)});
    }
    one.shortages = destination->upstream->state().shortages();
    sample.circuits.push_back(std::move(one));
  }
}

}  // namespace holdfast::server
