// bench_load echo | bench_load load PORT CONNECTIONS BYTES plain|tls echo|idle; see modes.hpp.
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

}  // namespace

int main(int argc, char** argv) {
  using namespace holdfast::bench;
  raise_file_limit();
  if (argc == 2 && std::string_view(argv[1]) == "echo") return run_echo();
  if (argc != 7 || std::string_view(argv[1]) != "load") {
    std::fputs("usage: bench_load echo | load PORT CONNECTIONS BYTES plain|tls echo|idle\n", stderr);
    return 2;
  }
  LoadOptions options;
  options.port = static_cast<std::uint16_t>(std::strtoul(argv[2], nullptr, 10));
  options.connections = std::strtoul(argv[3], nullptr, 10);
  options.message_bytes = std::strtoul(argv[4], nullptr, 10);
  options.transport = std::string_view(argv[5]) == "tls" ? Transport::tls : Transport::plain;
  options.traffic = std::string_view(argv[6]) == "idle" ? Traffic::idle : Traffic::echo;
  return run_load(options);
}
