// The lives of the bench_load binary.
#pragma once

#include <cstddef>
#include <cstdint>

namespace holdfast::bench {

// How the kernel ends the connections of a killed echo backend.
enum class Death { fin, reset };

struct EchoOptions {
  std::uint16_t port = 0;      // 0 = any free one
  std::uint8_t signature = 0;  // written over the first byte of each message's payload; 0 = nothing is
  Death death = Death::fin;
};

// Serves WebSocket echo on every address, told as "port N" on stdout; plain TCP.
// Returns (1) only when it can't listen.
int run_echo(const EchoOptions& options);

enum class Transport { plain, tls };
enum class Traffic { echo, idle };

struct LoadOptions {
  std::uint16_t port = 0;
  std::size_t connections = 1;
  std::size_t message_bytes = 128;  // payload
  std::size_t in_flight = 1;        // messages per connection
  Transport transport = Transport::plain;
  Traffic traffic = Traffic::echo;
};

// Opens all connections (64 handshakes at a time), says "open N", then echoes, or idles behind a request head
// as browsers send it. Each line on stdin is answered by "count ROUND_TRIPS LOST_CONNECTIONS"; "once" also
// lets each idle connection send one message. The end of stdin ends the process. Returns 1 if a connection
// can't be opened.
int run_load(const LoadOptions& options);

enum class Tickets { ignore, use };
enum class Stay { session, tls_only };  // until the 101 and a Close, or until the TLS handshake is done

struct HandshakeOptions {
  std::uint16_t port = 0;
  std::size_t at_once = 32;
  Transport transport = Transport::plain;
  Stay stay = Stay::session;
  Tickets tickets = Tickets::ignore;  // use = all resume the first session; it is an error if one can't
};

// Sessions come (until their 101) and go (Close, then the proxy's FIN) in a closed loop. Says "open 1" after
// the first; each line on stdin is answered by "count SESSIONS FAILURES"; the end of stdin ends the process.
int run_handshakes(const HandshakeOptions& options);

struct PacedOptions {
  std::uint16_t port = 0;
  std::size_t connections = 1;
  std::size_t message_bytes = 128;  // at least 8
  Transport transport = Transport::plain;
  std::uint64_t rate = 1000;  // messages per second, of all connections together
  std::uint64_t seconds = 60;
};

// Opens all connections, says "open N", then sends at fixed times (an open loop), one second of warm-up
// first, and says one line of JSON: messages sent and unanswered; `latency` from the intended time to the
// echo and `lateness` of our own sending, in ms. Returns 1 if a connection can't be opened or is lost.
int run_paced(const PacedOptions& options);

struct SequenceOptions {
  std::uint16_t port = 0;
  std::size_t sessions = 1;
  std::int64_t period_ms = 100;  // between two messages of a session
};

// Opens all sessions, says "open N" (how many of them came to be), then obeys lines on stdin: "talk" = send
// messages; "mark B" = backend B has just been hit: pauses count from now, its sessions ask at once; "quiet"
// = send no more; "report" = one line of JSON (times in ms): messages sent, never answered, answered twice;
// sessions affected by the mark, answered since, closed; `serving` = sessions of backends 1, 2, 3; `pause` =
// each affected session's longest wait for any answer; `before` and `after` = latencies before the mark, and
// after it of sessions that it does not affect. The end of stdin ends the process.
int run_sequences(const SequenceOptions& options);

// How a server of the feeds bench gets its messages: it connects to us, or we publish into its /pub.
enum class SourceKind { serve, publish_websocket, publish_http };
enum class Compression { none, deflate };

struct FeedOptions {
  std::size_t clients = 1;
  std::size_t stalled = 0;          // of these clients; they never read after their 101
  std::size_t message_bytes = 256;  // at least 32
  Transport transport = Transport::plain;
  Compression compression = Compression::none;
  SourceKind source = SourceKind::serve;
};

// The source of a feed and all its clients in one thread. Says "port N" (where the source listens, or 0),
// then obeys lines on stdin, each answered by a line:
//   connect P Q    opens all clients on port P's /feed/bench, and publishes into port Q's /pub unless the
//   source
//                  is one that servers connect to: "open N"
//   window N       the source sends as long as fewer than N messages are on their way to anybody: "ok"
//   pace N M       the source sends N messages a second, at fixed times, but late while M are on their way to
//                  anybody (0 = as many as can be): "ok"
//   pause          the source is silent; "paused N" once all has arrived or nothing came for two seconds,
//                  N = messages that healthy clients still miss
//   reset          counters and histograms start anew: "ok"
//   report         one line of JSON, times in ms: see report() in feed.cpp
// The end of stdin ends the process. Returns 1 if a client can't be opened.
int run_feed(const FeedOptions& options);

struct RelayOptions {
  std::uint16_t plain_port = 0;
  std::uint16_t tls_port = 0;
  std::uint16_t backend_port = 0;
  const char* chain = "";  // PEM files
  const char* key = "";
};

// Relays bytes between both ports of 127.0.0.1 and the backend until the process is killed.
// Returns (1) only when it can't listen or can't use the certificate.
int run_relay(const RelayOptions& options);

}  // namespace holdfast::bench
