// The two lives of the bench_load binary.
#pragma once

#include <cstddef>
#include <cstdint>

namespace holdfast::bench {

// Serves WebSocket echo on 127.0.0.1 at a free port, told as "port N" on stdout; plain TCP.
// Returns (1) only when it can't listen.
int run_echo();

enum class Transport { plain, tls };
enum class Traffic { echo, idle };

struct LoadOptions {
  std::uint16_t port = 0;
  std::size_t connections = 1;
  std::size_t message_bytes = 128;  // payload; one message is in flight per connection
  Transport transport = Transport::plain;
  Traffic traffic = Traffic::echo;
};

// Opens all connections (64 handshakes at a time), says "open N", then echoes (or idles). Each line on
// stdin is answered by "count ROUND_TRIPS LOST_CONNECTIONS"; the end of stdin ends the process.
// Returns 1 if a connection can't be opened.
int run_load(const LoadOptions& options);

}  // namespace holdfast::bench
