#include "metrics/collector.hpp"

#include "metrics/families.hpp"
#include "metrics/process.hpp"

namespace holdfast::metrics {
namespace {

constexpr std::array<std::string_view, direction_count> direction_texts{"to_backend", "to_client"};
constexpr std::array<std::string_view, opcode_count> opcode_texts{"continuation", "text", "binary",
                                                                  "close",        "ping", "pong"};

// Sums counter(cells) over the threads' blocks.
template <class Cells, class Pick>
double sum(const std::unique_ptr<Cells[]>& blocks, std::size_t threads, Pick counter) {
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < threads; ++i) total += counter(blocks[i]).value();
  return static_cast<double>(total);
}

// One histogram of each thread's block.
template <class Cells>
std::vector<const Histogram*> gather(const std::unique_ptr<Cells[]>& blocks, std::size_t threads,
                                     Histogram Cells::*member) {
  std::vector<const Histogram*> out;
  for (std::size_t i = 0; i < threads; ++i) out.push_back(&(blocks[i].*member));
  return out;
}

}  // namespace

std::vector<prometheus::MetricFamily> Registry::Collector::Collect() const {
  Families out;
  const Sample sample = registry_.sample_ ? registry_.sample_() : Sample{};
  sessions(out);
  handshakes(out);
  auth(out);
  feeds(out);
  traffic(out);
  ends(out);
  losses(out);
  reroutes(out, sample);
  durations(out);
  backends(out, sample);
  balancing(out, sample);
  discoveries(out, sample);
  protection(out, sample);
  process(out, sample);
  return out;
}

void Registry::Collector::sessions(Families& out) const {
  FamilyBuilder family = gauge_family("holdfast_sessions", "Sessions that are open.");
  for (const auto& [key, blocks] : registry_.sessions_) {
    std::int64_t open = 0;
    for (std::size_t i = 0; i < registry_.pump_threads_; ++i) open += blocks[i].open.value();
    family.gauge({{"listener", key.first}, {"route", key.second}}, static_cast<double>(open));
  }
  std::move(family).append_to(out);
}

void Registry::Collector::handshakes(Families& out) const {
  FamilyBuilder handshakes =
      counter_family("holdfast_handshakes_total", "WebSocket handshakes that ended, by listener and result.");
  FamilyBuilder tls =
      counter_family("holdfast_tls_handshakes_total", "TLS handshakes of clients that ended.");
  for (const auto& [name, blocks] : registry_.listeners_) {
    for (std::size_t i = 0; i < handshake_result_count; ++i) {
      const auto pick = [i](const ListenerCells& cells) -> const Counter& { return cells.handshakes[i]; };
      handshakes.counter({{"listener", name}, {"result", metrics::text(static_cast<HandshakeResult>(i))}},
                         sum(blocks, registry_.setup_threads_, pick));
    }
    for (std::size_t i = 0; i < tls_result_count; ++i) {
      const auto pick = [i](const ListenerCells& cells) -> const Counter& { return cells.tls_handshakes[i]; };
      tls.counter({{"listener", name}, {"result", metrics::text(static_cast<TlsResult>(i))}},
                  sum(blocks, registry_.setup_threads_, pick));
    }
  }
  std::move(handshakes).append_to(out);
  std::move(tls).append_to(out);
}

void Registry::Collector::traffic(Families& out) const {
  FamilyBuilder frames = counter_family("holdfast_frames_total", "WebSocket frames forwarded, by opcode.");
  FamilyBuilder messages = counter_family("holdfast_messages_total", "Whole data messages forwarded.");
  FamilyBuilder bytes = counter_family("holdfast_bytes_total", "Bytes of frames forwarded, without TLS.");
  const std::size_t threads = registry_.pump_threads_;
  for (const auto& [name, blocks] : registry_.routes_) {
    for (std::size_t d = 0; d < direction_count; ++d) {
      const Labels labels{{"route", name}, {"direction", direction_texts[d]}};
      for (std::size_t o = 0; o < opcode_count; ++o) {
        const auto pick = [d, o](const RouteCells& cells) -> const Counter& {
          return cells.flows[d].frames[o];
        };
        Labels with_opcode = labels;
        with_opcode.emplace_back("opcode", opcode_texts[o]);
        frames.counter(with_opcode, sum(blocks, threads, pick));
      }
      const auto of_messages = [d](const RouteCells& cells) -> const Counter& {
        return cells.flows[d].messages;
      };
      const auto of_bytes = [d](const RouteCells& cells) -> const Counter& { return cells.flows[d].bytes; };
      messages.counter(labels, sum(blocks, threads, of_messages));
      bytes.counter(labels, sum(blocks, threads, of_bytes));
    }
  }
  std::move(frames).append_to(out);
  std::move(messages).append_to(out);
  std::move(bytes).append_to(out);
}

// Series appear with their first session: each reason times 20 codes, nearly all of them zero for
// ever, would drown the rest.
void Registry::Collector::ends(Families& out) const {
  FamilyBuilder family = counter_family("holdfast_session_ends_total",
                                        "Sessions that ended, by reason and the client's Close code.");
  for (const auto& [name, blocks] : registry_.routes_) {
    for (std::size_t cell = 0; cell < reason_count * code_class_count; ++cell) {
      const std::size_t reason = cell / code_class_count;
      const std::size_t code = cell % code_class_count;
      const auto pick = [=](const RouteCells& cells) -> const Counter& { return cells.ends[reason][code]; };
      const double value = sum(blocks, registry_.pump_threads_, pick);
      if (value == 0) continue;
      family.counter({{"route", name},
                      {"reason", holdfast::text(static_cast<Reason>(reason))},
                      {"code", code_label(code)}},
                     value);
    }
  }
  std::move(family).append_to(out);
}

void Registry::Collector::losses(Families& out) const {
  FamilyBuilder undelivered = counter_family("holdfast_messages_undelivered_total",
                                             "Client messages that no backend can have received whole.");
  FamilyBuilder unconfirmed = counter_family(
      "holdfast_messages_unconfirmed_total",
      "Client messages that a lost backend may or may not have processed: no message of it followed.");
  FamilyBuilder resent =
      counter_family("holdfast_messages_resent_total", "Client messages sent again to another backend.");
  for (const auto& [name, blocks] : registry_.routes_) {
    const auto total = [&blocks = blocks, this](Counter RouteCells::*member) {
      return sum(blocks, registry_.pump_threads_,
                 [member](const RouteCells& cells) -> const Counter& { return cells.*member; });
    };
    undelivered.counter({{"route", name}}, total(&RouteCells::undelivered));
    unconfirmed.counter({{"route", name}}, total(&RouteCells::unconfirmed));
    resent.counter({{"route", name}}, total(&RouteCells::resent));
  }
  for (FamilyBuilder* family : {&undelivered, &unconfirmed, &resent}) std::move(*family).append_to(out);
}

void Registry::Collector::reroutes(Families& out, const Sample& sample) const {
  FamilyBuilder family = counter_family("holdfast_reroutes_total",
                                        "Reroutes and moves of sessions that ended, by cause and result.");
  for (const RerouteSample& item : sample.reroutes) {
    family.counter({{"upstream", item.upstream}, {"cause", item.cause}, {"result", item.result}},
                   static_cast<double>(item.count));
  }
  std::move(family).append_to(out);

  const auto gauge = [&](const char* name, const char* help, Gauge PumpCells::*member) {
    std::int64_t total = 0;
    for (std::size_t i = 0; i < registry_.pump_threads_; ++i) total += (registry_.pumps_[i].*member).value();
    FamilyBuilder one = gauge_family(name, help);
    one.gauge({}, static_cast<double>(total));
    std::move(one).append_to(out);
  };
  gauge("holdfast_sessions_stranded", "Sessions that should leave their backend and have nowhere to go.",
        &PumpCells::stranded);
  gauge("holdfast_stored_head_bytes", "Request heads kept for reroutes.", &PumpCells::stored_head_bytes);
  gauge("holdfast_held_bytes",
        "Frames kept back, messages kept for a resend and data of clients without a backend.",
        &PumpCells::held_bytes);
  FamilyBuilder spent =
      counter_family("holdfast_hold_memory_spent_total",
                     "How often limits.hold_memory made a session stream or pause instead of hold.");
  const auto pick = [](const PumpCells& cells) -> const Counter& { return cells.hold_memory_spent; };
  spent.counter({}, sum(registry_.pumps_, registry_.pump_threads_, pick));
  std::move(spent).append_to(out);
}

void Registry::Collector::durations(Families& out) const {
  const auto add = [&out](const char* name, const char* help, const std::vector<const Histogram*>& cells) {
    FamilyBuilder family = histogram_family(name, help);
    family.histogram({}, cells);
    std::move(family).append_to(out);
  };
  const std::size_t setups = registry_.setup_threads_;
  const std::size_t pumps = registry_.pump_threads_;
  add("holdfast_session_duration_seconds", "From 101 to the end of a session.",
      gather(registry_.pumps_, pumps, &PumpCells::session_duration));
  add("holdfast_handshake_duration_seconds", "From accept to 101.",
      gather(registry_.setup_, setups, &SetupCells::handshake_duration));
  add("holdfast_backend_connect_duration_seconds", "From connect to a connected backend, TLS included.",
      gather(registry_.setup_, setups, &SetupCells::backend_connect_duration));
  add("holdfast_ping_rtt_seconds", "From our ping to its pong.",
      gather(registry_.pumps_, pumps, &PumpCells::ping_rtt));
  add("holdfast_reroute_duration_seconds",
      "From a backend lost, or told to go, to the first byte of the next one that may flow.",
      gather(registry_.pumps_, pumps, &PumpCells::reroute_duration));
  add("holdfast_probe_duration_seconds", "How long probes took, whatever their result.",
      {&registry_.control_.probe_duration});
  add("holdfast_config_reload_duration_seconds",
      "From the signal to the configuration in force, of reloads that were applied.",
      {&registry_.control_.reload_duration});

  FamilyBuilder lag =
      histogram_family("holdfast_loop_lag_seconds", "How late a thread came to work that was due.");
  lag.histogram({{"plane", "setup"}}, gather(registry_.setup_, setups, &SetupCells::loop_lag));
  lag.histogram({{"plane", "pump"}}, gather(registry_.pumps_, pumps, &PumpCells::loop_lag));
  lag.histogram({{"plane", "control"}}, {&registry_.control_.loop_lag});
  std::move(lag).append_to(out);
}

void Registry::Collector::backends(Families& out, const Sample& sample) const {
  FamilyBuilder sessions =
      gauge_family("holdfast_backend_sessions", "Sessions on a backend, those being set up included.");
  FamilyBuilder up = gauge_family("holdfast_backend_up", "1 = healthy or not probed yet, 0 = unhealthy.");
  FamilyBuilder state = gauge_family("holdfast_backend_state", "1 for each state that a backend is in.");
  FamilyBuilder weights =
      gauge_family("holdfast_backend_weight", "What of a backend's weight counts now: less in a slow start.");
  FamilyBuilder picks = counter_family("holdfast_backend_picks_total", "How often a backend was picked.");
  FamilyBuilder failures =
      counter_family("holdfast_backend_failures_total", "Tries that failed on a backend, by kind.");
  FamilyBuilder probes = counter_family("holdfast_probe_total", "Probes that ended, by result.");
  FamilyBuilder ejections =
      counter_family("holdfast_ejections_total", "How often a backend was ejected, by reason.");
  FamilyBuilder panics =
      gauge_family("holdfast_upstream_panic", "1 = too few backends are eligible: all active ones are used.");
  for (const Labelled& item : sample.panics)
    panics.gauge({{"upstream", item.label}}, static_cast<double>(item.count));
  constexpr std::array<std::string_view, 3> administrative{"active", "draining", "disabled"};
  for (const BackendSample& backend : sample.backends) {
    const Labels labels{{"upstream", backend.upstream}, {"backend", backend.backend}};
    const auto with = [&labels](std::string_view name, std::string_view value) {
      Labels more = labels;
      more.emplace_back(name, value);
      return more;
    };
    sessions.gauge(labels, static_cast<double>(backend.sessions));
    up.gauge(labels, backend.up ? 1 : 0);
    for (const std::string_view word : administrative) {
      state.gauge(with("state", word), backend.state == word ? 1 : 0);
    }
    state.gauge(with("state", "ejected"), backend.ejected ? 1 : 0);
    weights.gauge(labels, backend.weight);
    picks.counter(labels, static_cast<double>(backend.picks_total));
    for (const Labelled& item : backend.failures) {
      failures.counter(with("kind", item.label), static_cast<double>(item.count));
    }
    for (const Labelled& item : backend.probes) {
      probes.counter(with("result", item.label), static_cast<double>(item.count));
    }
    for (const Labelled& item : backend.ejections) {
      ejections.counter(with("reason", item.label), static_cast<double>(item.count));
    }
  }
  for (FamilyBuilder* family :
       {&sessions, &up, &state, &weights, &picks, &failures, &probes, &ejections, &panics})
    std::move(*family).append_to(out);
}

void Registry::Collector::balancing(Families& out, const Sample& sample) const {
  FamilyBuilder queued =
      gauge_family("holdfast_queued_sessions", "Handshakes that wait for a place at a full upstream.");
  FamilyBuilder waits =
      counter_family("holdfast_queue_waits_total",
                     "Handshakes that found all backends of an upstream full, by what came of it.");
  FamilyBuilder cookies = counter_family("holdfast_sticky_total",
                                         "Handshakes that came with a sticky cookie, by what came of it.");
  for (const BalancingSample& item : sample.balancing) {
    if (!item.waits.empty() || item.queued != 0)
      queued.gauge({{"upstream", item.upstream}}, static_cast<double>(item.queued));
    for (const Labelled& one : item.waits) {
      waits.counter({{"upstream", item.upstream}, {"result", one.label}}, static_cast<double>(one.count));
    }
    for (const Labelled& one : item.cookies) {
      cookies.counter({{"upstream", item.upstream}, {"result", one.label}}, static_cast<double>(one.count));
    }
  }
  for (FamilyBuilder* family : {&queued, &waits, &cookies}) std::move(*family).append_to(out);
}

void Registry::Collector::discoveries(Families& out, const Sample& sample) {
  FamilyBuilder up =
      gauge_family("holdfast_discovery_up", "1 = backends were found, and the latest try went well.");
  FamilyBuilder backends =
      gauge_family("holdfast_discovered_backends", "Backends that discovery found last.");
  FamilyBuilder updates =
      counter_family("holdfast_discovery_updates_total", "Tries to find backends, by result.");
  for (const DiscoverySample& each : sample.discoveries) {
    up.gauge({{"upstream", each.upstream}}, each.up ? 1 : 0);
    backends.gauge({{"upstream", each.upstream}}, static_cast<double>(each.backends));
    for (const Labelled& item : each.updates)
      updates.counter({{"upstream", each.upstream}, {"result", item.label}}, static_cast<double>(item.count));
  }
  for (FamilyBuilder* family : {&up, &backends, &updates}) std::move(*family).append_to(out);
}

void Registry::Collector::process(Families& out, const Sample& sample) const {
  const auto gauge = [&out](const char* name, const char* help, double value) {
    FamilyBuilder family = gauge_family(name, help);
    family.gauge({}, value);
    std::move(family).append_to(out);
  };
  gauge("holdfast_config_generation",
        "The configuration in use; grows by one with each reload that was applied.",
        static_cast<double>(sample.generation));

  FamilyBuilder reloads = counter_family("holdfast_config_reloads_total", "Reloads, by result.");
  reloads.counter({{"result", "applied"}}, static_cast<double>(registry_.control_.reloads_ok.value()));
  reloads.counter({{"result", "refused"}}, static_cast<double>(registry_.control_.reloads_failed.value()));
  std::move(reloads).append_to(out);

  FamilyBuilder build = gauge_family("holdfast_build_info", "Always 1; the labels tell the build.");
  build.gauge({{"version", registry_.build_.version}, {"commit", registry_.build_.commit}}, 1);
  std::move(build).append_to(out);

  const ProcessFigures figures = process_figures();
  FamilyBuilder cpu = counter_family("process_cpu_seconds_total", "User and system CPU time spent.");
  cpu.counter({}, figures.cpu_seconds);
  std::move(cpu).append_to(out);
  gauge("process_resident_memory_bytes", "Resident memory size.", figures.resident_bytes);
  gauge("process_virtual_memory_bytes", "Virtual memory size.", figures.virtual_bytes);
  gauge("process_start_time_seconds", "Start time since the Unix epoch.", figures.start_time_seconds);
  gauge("process_open_fds", "Open file descriptors.", figures.open_fds);
  gauge("process_max_fds", "Largest number of open file descriptors allowed.", figures.max_fds);
}

}  // namespace holdfast::metrics
