// What the bench starts: echo backends, a bare relay, and several kinds of clients; see modes.hpp.
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "modes.hpp"

namespace holdfast::bench {
namespace {

// Thousands of connections in one process: the soft limit is often 1024.
void raise_file_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int usage() {
  std::fputs(
      "usage: bench_load echo [PORT SIGNATURE fin|reset]\n"
      "       bench_load relay PLAIN_PORT TLS_PORT BACKEND_PORT CHAIN KEY\n"
      "       bench_load load PORT CONNECTIONS BYTES plain|tls echo|idle IN_FLIGHT\n"
      "       bench_load handshake PORT AT_ONCE plain|tls|resumed|tls-only\n"
      "       bench_load paced PORT CONNECTIONS BYTES plain|tls RATE SECONDS\n"
      "       bench_load sequence PORT SESSIONS PERIOD_MS\n"
      "       bench_load feed CLIENTS STALLED BYTES plain|tls identity|deflate serve|websocket|http\n",
      stderr);
  return 2;
}

std::uint16_t port_of(const char* text) {
  return static_cast<std::uint16_t>(std::strtoul(text, nullptr, 10));
}

Transport transport_of(std::string_view text) {
  return text == "tls" ? Transport::tls : Transport::plain;
}

int echo(char** argument) {
  EchoOptions options;
  options.port = port_of(argument[0]);
  options.signature = static_cast<std::uint8_t>(std::strtoul(argument[1], nullptr, 10));
  options.death = std::string_view(argument[2]) == "reset" ? Death::reset : Death::fin;
  return run_echo(options);
}

int relay(char** argument) {
  return run_relay(
      {port_of(argument[0]), port_of(argument[1]), port_of(argument[2]), argument[3], argument[4]});
}

int load(char** argument) {
  LoadOptions options;
  options.port = port_of(argument[0]);
  options.connections = std::strtoul(argument[1], nullptr, 10);
  options.message_bytes = std::strtoul(argument[2], nullptr, 10);
  options.transport = transport_of(argument[3]);
  options.traffic = std::string_view(argument[4]) == "idle" ? Traffic::idle : Traffic::echo;
  options.in_flight = std::strtoul(argument[5], nullptr, 10);
  return run_load(options);
}

int handshake(char** argument) {
  HandshakeOptions options;
  const std::string_view kind = argument[2];
  options.port = port_of(argument[0]);
  options.at_once = std::strtoul(argument[1], nullptr, 10);
  options.transport = kind == "plain" ? Transport::plain : Transport::tls;
  options.stay = kind == "tls-only" ? Stay::tls_only : Stay::session;
  options.tickets = kind == "resumed" ? Tickets::use : Tickets::ignore;
  return run_handshakes(options);
}

int paced(char** argument) {
  PacedOptions options;
  options.port = port_of(argument[0]);
  options.connections = std::strtoul(argument[1], nullptr, 10);
  options.message_bytes = std::strtoul(argument[2], nullptr, 10);
  options.transport = transport_of(argument[3]);
  options.rate = std::strtoul(argument[4], nullptr, 10);
  options.seconds = std::strtoul(argument[5], nullptr, 10);
  return run_paced(options);
}

int sequence(char** argument) {
  SequenceOptions options;
  options.port = port_of(argument[0]);
  options.sessions = std::strtoul(argument[1], nullptr, 10);
  options.period_ms = std::strtol(argument[2], nullptr, 10);
  return run_sequences(options);
}

int feed(char** argument) {
  const std::string_view source = argument[5];
  FeedOptions options;
  options.clients = std::strtoul(argument[0], nullptr, 10);
  options.stalled = std::strtoul(argument[1], nullptr, 10);
  options.message_bytes = std::strtoul(argument[2], nullptr, 10);
  options.transport = transport_of(argument[3]);
  options.compression = std::string_view(argument[4]) == "deflate" ? Compression::deflate : Compression::none;
  options.source = source == "websocket" ? SourceKind::publish_websocket
                   : source == "http"    ? SourceKind::publish_http
                                         : SourceKind::serve;
  return run_feed(options);
}

int run(int count, char** argument) {
  const std::string_view mode = count > 0 ? argument[0] : "";
  raise_file_limit();
  if (mode == "echo" && count == 1) return run_echo({});
  if (mode == "echo" && count == 4) return echo(argument + 1);
  if (mode == "relay" && count == 6) return relay(argument + 1);
  if (mode == "load" && count == 7) return load(argument + 1);
  if (mode == "handshake" && count == 4) return handshake(argument + 1);
  if (mode == "paced" && count == 7) return paced(argument + 1);
  if (mode == "sequence" && count == 4) return sequence(argument + 1);
  if (mode == "feed" && count == 7) return feed(argument + 1);
  return usage();
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) {
  return holdfast::bench::run(argc - 1, argv + 1);
}
