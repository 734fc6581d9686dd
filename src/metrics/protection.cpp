// What the limits of listeners, routes and upstreams have done.

#include "metrics/collector.hpp"
#include "metrics/families.hpp"

namespace holdfast::metrics {

void Registry::Collector::protection(Families& out, const Sample& sample) const {
  FamilyBuilder refusals = counter_family("holdfast_refusals_total",
                                          "Clients that a limit turned away before any backend was touched.");
  for (const auto& [name, blocks] : registry_.listeners_) {
    for (std::size_t n = 0; n < refusal_count; ++n) {
      std::uint64_t count = 0;
      for (std::size_t i = 0; i < registry_.setup_threads_; ++i) count += blocks[i].refusals[n].value();
      refusals.counter({{"listener", name}, {"reason", metrics::text(static_cast<Refusal>(n))}},
                       static_cast<double>(count));
    }
  }
  FamilyBuilder pauses = counter_family(
      "holdfast_rate_pauses_total", "Times that a session's client was not read because it sent too fast.");
  for (const auto& [name, blocks] : registry_.routes_) {
    for (std::size_t n = 0; n < rate_limit_count; ++n) {
      std::uint64_t count = 0;
      for (std::size_t i = 0; i < registry_.pump_threads_; ++i) count += blocks[i].rate_pauses[n].value();
      pauses.counter({{"route", name}, {"limit", metrics::text(static_cast<RateLimit>(n))}},
                     static_cast<double>(count));
    }
  }
  FamilyBuilder addresses = gauge_family("holdfast_client_addresses",
                                         "Client addresses that a listener's limits per address remember.");
  for (const Labelled& item : sample.addresses)
    addresses.gauge({{"listener", item.label}}, static_cast<double>(item.count));
  FamilyBuilder sessions = gauge_family(
      "holdfast_upstream_sessions", "Sessions of an upstream, those being set up and those held included.");
  FamilyBuilder pending =
      gauge_family("holdfast_upstream_pending", "Handshakes and reroutes that wait for a backend's answer.");
  FamilyBuilder breaks =
      counter_family("holdfast_circuit_breaks_total",
                     "Times that an upstream's circuit breaker refused a session or a retry.");
  FamilyBuilder shortages = counter_family(
      "holdfast_dial_shortages_total",
      "Connections to backends for which this machine lacked a port, an address or a descriptor.");
  for (const CircuitSample& item : sample.circuits) {
    shortages.counter({{"upstream", item.upstream}}, static_cast<double>(item.shortages));
    sessions.gauge({{"upstream", item.upstream}}, static_cast<double>(item.sessions));
    pending.gauge({{"upstream", item.upstream}}, static_cast<double>(item.pending));
    for (const Labelled& each : item.breaks)
      breaks.counter({{"upstream", item.upstream}, {"limit", each.label}}, static_cast<double>(each.count));
  }
  for (FamilyBuilder* family : {&refusals, &pauses, &addresses, &sessions, &pending, &breaks, &shortages})
    std::move(*family).append_to(out);
}

}  // namespace holdfast::metrics
