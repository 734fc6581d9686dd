#include "holdfast/metrics/registry.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <set>
#include <sstream>

namespace holdfast::metrics::test {
namespace {

bool has_line(const std::string& text, const std::string& line) {
  return text.rfind(line + "\n", 0) == 0 || text.find("\n" + line + "\n") != std::string::npos;
}

// The families of a text, by their TYPE lines.
std::set<std::string> families(const std::string& text) {
  std::set<std::string> out;
  std::istringstream lines(text);
  const std::string mark = "# TYPE ";
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind(mark, 0) == 0) out.insert(line.substr(mark.size(), line.rfind(' ') - mark.size()));
  }
  return out;
}

Sample one_backend() {
  Sample sample;
  sample.generation = 3;
  BackendSample& backend = sample.backends.emplace_back();
  backend.upstream = "chat";
  backend.backend = "127.0.0.1:9001";
  backend.sessions = 5;
  backend.picks_total = 9;
  backend.up = true;
  backend.state = "draining";
  backend.failures = {{"timeout", 2}};
  backend.probes = {{"pass", 7}, {"fail", 1}};
  sample.balancing = {{"chat", 3, {{"served", 2}}, {{"honoured", 7}}}};
  sample.reroutes = {{"chat", "lost", "attached", 4}};
  sample.addresses = {{"public", 12}};
  sample.circuits = {{"chat", 6, 2, {{"sessions", 3}}, 4}};
  return sample;
}

// A registry of two threads per plane where everything happened once at least.
std::unique_ptr<Registry> busy_registry() {
  auto registry = std::make_unique<Registry>(2, 2, BuildInfo{"0.1.0", "abc\"d"}, one_backend);
  for (std::size_t thread = 0; thread < 2; ++thread) {
    RouteCells& route = registry->route(thread, "chat /ws");
    route.flow(Direction::to_backend).frames[opcode_index(1)].add(2);
    route.flow(Direction::to_backend).messages.add();
    route.flow(Direction::to_client).bytes.add(100);
    route.end(Reason::client_closed, 1000);
    route.undelivered.add(1);
    route.unconfirmed.add(2);
    route.resent.add(3);
    registry->sessions(thread, "public", "chat /ws").open.add(3);
    registry->listener(thread, "public").handshake(HandshakeResult::accepted);
    registry->listener(thread, "public").tls_handshake(TlsResult::failed);
    registry->listener(thread, "public").refuse(Refusal::max_sessions_per_ip);
    route.rate_pauses[static_cast<std::size_t>(RateLimit::bytes)].add(5);
    registry->setup(thread).handshake_duration.observe(std::chrono::milliseconds(2));
    PumpCells& pump = registry->pump(thread);
    pump.session_duration.observe(std::chrono::seconds(2));
    pump.reroute_duration.observe(std::chrono::milliseconds(1500));
    pump.stranded.add(1);
    pump.stored_head_bytes.add(700);
    pump.held_bytes.add(thread == 0 ? 5000 : -1000);
    pump.hold_memory_spent.add(2);
  }
  registry->control().reloads_failed.add();
  return registry;
}

TEST_CASE("cells of all threads are summed at scrape") {
  const auto registry = busy_registry();
  registry->sessions(1, "public", "chat /ws").open.add(-1);
  const std::string text = registry->text();
  CHECK(has_line(text, R"(holdfast_sessions{listener="public",route="chat /ws"} 5)"));
  CHECK(has_line(text, R"(holdfast_frames_total{route="chat /ws",direction="to_backend",opcode="text"} 4)"));
  CHECK(has_line(text, R"(holdfast_messages_total{route="chat /ws",direction="to_backend"} 2)"));
  CHECK(has_line(text, R"(holdfast_bytes_total{route="chat /ws",direction="to_client"} 200)"));
  CHECK(has_line(text,
                 R"(holdfast_session_ends_total{route="chat /ws",reason="client_closed",code="1000"} 2)"));
  CHECK(has_line(text, R"(holdfast_handshakes_total{listener="public",result="accepted"} 2)"));
  CHECK(has_line(text, R"(holdfast_tls_handshakes_total{listener="public",result="failed"} 2)"));
  CHECK(has_line(text, R"(holdfast_refusals_total{listener="public",reason="max_sessions_per_ip"} 2)"));
  CHECK(has_line(text, R"(holdfast_refusals_total{listener="public",reason="origin"} 0)"));
  CHECK(has_line(text, R"(holdfast_rate_pauses_total{route="chat /ws",limit="bytes"} 10)"));
  CHECK(has_line(text, R"(holdfast_client_addresses{listener="public"} 12)"));
  CHECK(has_line(text, R"(holdfast_upstream_pending{upstream="chat"} 2)"));
  CHECK(has_line(text, R"(holdfast_circuit_breaks_total{upstream="chat",limit="sessions"} 3)"));
  CHECK(has_line(text, R"(holdfast_dial_shortages_total{upstream="chat"} 4)"));
  CHECK(has_line(text, R"(holdfast_handshake_duration_seconds_bucket{le="0.001"} 0)"));
  CHECK(has_line(text, R"(holdfast_handshake_duration_seconds_bucket{le="0.0025"} 2)"));
  CHECK(has_line(text, R"(holdfast_handshake_duration_seconds_bucket{le="+Inf"} 2)"));
  CHECK(has_line(text, R"(holdfast_messages_undelivered_total{route="chat /ws"} 2)"));
  CHECK(has_line(text, R"(holdfast_messages_unconfirmed_total{route="chat /ws"} 4)"));
  CHECK(has_line(text, R"(holdfast_messages_resent_total{route="chat /ws"} 6)"));
  CHECK(has_line(text, R"(holdfast_reroute_duration_seconds_bucket{le="1"} 0)"));
  CHECK(has_line(text, R"(holdfast_reroute_duration_seconds_bucket{le="2"} 2)"));
  CHECK(has_line(text, "holdfast_sessions_stranded 2"));
  CHECK(has_line(text, "holdfast_stored_head_bytes 1400"));
  CHECK(has_line(text, "holdfast_held_bytes 4000"));
  CHECK(has_line(text, "holdfast_hold_memory_spent_total 4"));
  CHECK(has_line(text, R"(holdfast_reroutes_total{upstream="chat",cause="lost",result="attached"} 4)"));
  CHECK(has_line(text, R"(holdfast_config_reloads_total{result="refused"} 1)"));
  CHECK(has_line(text, R"(holdfast_config_generation 3)"));
  CHECK(registry->open_sessions("public") == 5);
  CHECK(registry->open_sessions("other") == 0);
}

TEST_CASE("backend series come from the sample and vanish with it") {
  Sample sample = one_backend();
  const Registry registry(1, 1, {"1", "2"}, [&sample] { return sample; });
  const std::string text = registry.text();
  CHECK(has_line(text, R"(holdfast_backend_sessions{upstream="chat",backend="127.0.0.1:9001"} 5)"));
  CHECK(has_line(text,
                 R"(holdfast_backend_state{upstream="chat",backend="127.0.0.1:9001",state="draining"} 1)"));
  CHECK(
      has_line(text, R"(holdfast_backend_state{upstream="chat",backend="127.0.0.1:9001",state="active"} 0)"));
  CHECK(has_line(
      text, R"(holdfast_backend_failures_total{upstream="chat",backend="127.0.0.1:9001",kind="timeout"} 2)"));
  CHECK(has_line(text, R"(holdfast_probe_total{upstream="chat",backend="127.0.0.1:9001",result="pass"} 7)"));
  sample.backends.clear();
  CHECK(registry.text().find("127.0.0.1:9001") == std::string::npos);
}

TEST_CASE("an upstream has series of a queue and of cookies where it has those") {
  Sample sample;
  sample.balancing = {{"plain", 0, {}, {}}, {"chat", 3, {{"served", 2}, {"full", 1}}, {{"honoured", 7}}}};
  const Registry registry(1, 1, {"1", "2"}, [&sample] { return sample; });
  const std::string text = registry.text();
  CHECK(has_line(text, R"(holdfast_queued_sessions{upstream="chat"} 3)"));
  CHECK(has_line(text, R"(holdfast_queue_waits_total{upstream="chat",result="served"} 2)"));
  CHECK(has_line(text, R"(holdfast_queue_waits_total{upstream="chat",result="full"} 1)"));
  CHECK(has_line(text, R"(holdfast_sticky_total{upstream="chat",result="honoured"} 7)"));
  CHECK(text.find("plain") == std::string::npos);
}

TEST_CASE("counters of a route survive a reload that asks for them again") {
  Registry registry(1, 1, {}, nullptr);
  RouteCells& first = registry.route(0, "r");
  first.end(Reason::idle, 1001);
  for (int i = 0; i < 100; ++i) (void)registry.route(0, "r" + std::to_string(i));
  CHECK(&registry.route(0, "r") == &first);
}

TEST_CASE("every promised name is exposed") {
  const std::set<std::string> expected{"holdfast_sessions",
                                       "holdfast_backend_sessions",
                                       "holdfast_loop_lag_seconds",
                                       "holdfast_handshakes_total",
                                       "holdfast_tls_handshakes_total",
                                       "holdfast_session_ends_total",
                                       "holdfast_messages_undelivered_total",
                                       "holdfast_messages_unconfirmed_total",
                                       "holdfast_messages_resent_total",
                                       "holdfast_reroutes_total",
                                       "holdfast_reroute_duration_seconds",
                                       "holdfast_sessions_stranded",
                                       "holdfast_stored_head_bytes",
                                       "holdfast_held_bytes",
                                       "holdfast_hold_memory_spent_total",
                                       "holdfast_refusals_total",
                                       "holdfast_rate_pauses_total",
                                       "holdfast_client_addresses",
                                       "holdfast_upstream_sessions",
                                       "holdfast_upstream_pending",
                                       "holdfast_circuit_breaks_total",
                                       "holdfast_dial_shortages_total",
                                       "holdfast_frames_total",
                                       "holdfast_messages_total",
                                       "holdfast_bytes_total",
                                       "holdfast_session_duration_seconds",
                                       "holdfast_handshake_duration_seconds",
                                       "holdfast_backend_connect_duration_seconds",
                                       "holdfast_ping_rtt_seconds",
                                       "holdfast_backend_up",
                                       "holdfast_backend_state",
                                       "holdfast_backend_picks_total",
                                       "holdfast_backend_weight",
                                       "holdfast_queued_sessions",
                                       "holdfast_queue_waits_total",
                                       "holdfast_sticky_total",
                                       "holdfast_backend_failures_total",
                                       "holdfast_probe_total",
                                       "holdfast_probe_duration_seconds",
                                       "holdfast_config_generation",
                                       "holdfast_config_reloads_total",
                                       "holdfast_config_reload_duration_seconds",
                                       "holdfast_build_info",
                                       "process_cpu_seconds_total",
                                       "process_resident_memory_bytes",
                                       "process_virtual_memory_bytes",
                                       "process_start_time_seconds",
                                       "process_open_fds",
                                       "process_max_fds"};
  CHECK(families(busy_registry()->text()) == expected);
}

TEST_CASE("promtool finds nothing to complain about") {
  if (std::system("command -v promtool >/dev/null 2>&1") != 0) {
    MESSAGE("skipped: promtool is not installed (Debian package prometheus)");
    return;
  }
  FILE* promtool = ::popen("promtool check metrics 2>&1", "w");
  REQUIRE(promtool != nullptr);
  const std::string text = busy_registry()->text();
  CHECK(std::fwrite(text.data(), 1, text.size(), promtool) == text.size());
  CHECK(::pclose(promtool) == 0);
}

}  // namespace
}  // namespace holdfast::metrics::test
