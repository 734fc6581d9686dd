// What the bench starts: echo backends and two kinds of clients; see modes.hpp.
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "modes.hpp"

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
      "       bench_load load PORT CONNECTIONS BYTES plain|tls echo|idle\n"
      "       bench_load sequence PORT SESSIONS PERIOD_MS\n",
      stderr);
  return 2;
}

std::uint16_t port_of(const char* text) {
  return static_cast<std::uint16_t>(std::strtoul(text, nullptr, 10));
}

}  // namespace

int main(int argc, char** argv) {
  using namespace holdfast::bench;
  raise_file_limit();
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode == "echo" && argc == 2) return run_echo({});
  if (mode == "echo" && argc == 5) {
    EchoOptions options;
    options.port = port_of(argv[2]);
    options.signature = static_cast<std::uint8_t>(std::strtoul(argv[3], nullptr, 10));
    options.death = std::string_view(argv[4]) == "reset" ? Death::reset : Death::fin;
    return run_echo(options);
  }
  if (mode == "sequence" && argc == 5) {
    SequenceOptions options;
    options.port = port_of(argv[2]);
    options.sessions = std::strtoul(argv[3], nullptr, 10);
    options.period_ms = std::strtol(argv[4], nullptr, 10);
    return run_sequences(options);
  }
  if (mode != "load" || argc != 7) return usage();
  LoadOptions options;
  options.port = port_of(argv[2]);
  options.connections = std::strtoul(argv[3], nullptr, 10);
  options.message_bytes = std::strtoul(argv[4], nullptr, 10);
  options.transport = std::string_view(argv[5]) == "tls" ? Transport::tls : Transport::plain;
  options.traffic = std::string_view(argv[6]) == "idle" ? Traffic::idle : Traffic::echo;
  return run_load(options);
}
