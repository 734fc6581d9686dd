#pragma once
// The configuration, as plain values. This header is the reference: field names are the JSON keys,
// each comment gives unit, default and range. A Config made by load() is valid: names are unique,
// references resolve, files were read. It never changes afterwards (see Snapshot).
//
// A Config may also be built in code (the demo does): fill the derived fields then as well.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/config/address.hpp"
#include "holdfast/config/auth.hpp"
#include "holdfast/config/balancing.hpp"
#include "holdfast/config/discover.hpp"
#include "holdfast/config/feed.hpp"
#include "holdfast/config/outlier.hpp"
#include "holdfast/config/probe.hpp"
#include "holdfast/config/protection.hpp"
#include "holdfast/config/reroute.hpp"

namespace holdfast::config {

using std::chrono::milliseconds;

enum class TlsVersion : std::uint8_t { v1_2, v1_3 };
// What is written in front of a connection to a backend (net/proxy_header.hpp).
enum class ProxyVersion : std::uint8_t { off, v1, v2 };
enum class LogLevel : std::uint8_t { debug, info, warning, error };
enum class LogFormat : std::uint8_t { text, json };

// The word used in the file for the value.
[[nodiscard]] std::string_view to_string(TlsVersion value) noexcept;
[[nodiscard]] std::string_view to_string(ProxyVersion value) noexcept;
[[nodiscard]] std::string_view to_string(LogLevel value) noexcept;
[[nodiscard]] std::string_view to_string(LogFormat value) noexcept;

// A PEM file, read whole at load, so that a snapshot never changes under a reader and a reload
// sees a renewed certificate. In the file it is just the path.
struct PemFile {
  std::string path;  // absolute; empty when made in memory
  std::string pem;   // the content; empty = not configured

  [[nodiscard]] bool empty() const noexcept { return pem.empty(); }
  bool operator==(const PemFile&) const = default;
};

struct Certificate {
  PemFile chain;  // leaf first, then intermediates
  PemFile key;    // the leaf's private key

  [[nodiscard]] bool empty() const noexcept { return chain.empty(); }
  bool operator==(const Certificate&) const = default;
};

struct ListenerTls {
  std::vector<Certificate> certificates;      // 1..1000; chosen by SNI, the first is the default
  TlsVersion min_version = TlsVersion::v1_2;  // "1.2" | "1.3"; default "1.2"
  PemFile client_ca;                          // set = clients must show a certificate it signed

  bool operator==(const ListenerTls&) const = default;
};

struct Listener {
  enum class ProxyHeader : std::uint8_t { none, required };  // in the file: false | true

  std::string name;                                // metric label; default: the text of `bind`
  Address bind;                                    // required; TCP port 0 = any free port
  std::optional<ListenerTls> tls;                  // absent = plain ws://
  ProxyHeader proxy_protocol = ProxyHeader::none;  // required = only trusted_peers, behind such a header
  std::vector<Network> trusted_peers;              // whose X-Forwarded-*/Forwarded are kept; default none
  std::uint64_t max_sessions = 100'000;            // 0 = no limit; default 100000
  milliseconds handshake_timeout{10'000};          // accept to complete head; 100 ms..10 min; default 10s
  ListenerProtection protection;                   // its keys stand here

  bool operator==(const Listener&) const = default;
};

// Pings that we originate, per leg, after `interval` without received bytes.
struct Ping {
  milliseconds interval{20'000};  // 0 = never, else 1 s..24 h; default 20s
  milliseconds timeout{10'000};   // no byte for so long after a ping = gone; 100 ms..1 h; default 10s

  bool operator==(const Ping&) const = default;
};

struct Route {
  std::string name;                         // default: host + path + listeners
  std::string host;                         // pattern (match.hpp); empty = any; ports are ignored
  std::string path;                         // pattern (match.hpp); empty = any
  std::vector<std::string> listeners;       // listener names; empty = all
  std::string upstream;                     // upstream name; default: the only upstream, without a feed
  std::string feed;                         // feed name, in place of an upstream
  std::uint64_t max_message = 64ULL << 20;  // client to backend, wire bytes; 0 = no limit; 64MiB
  std::uint64_t max_message_to_client = 0;  // backend to client, wire bytes; 0 = no limit (default)
  milliseconds idle_timeout{0};             // no data frame either way; 0 = off (default), else >= 1 s
  milliseconds max_age{0};                  // life of a session; 0 = off (default), else >= 1 s
  milliseconds close_timeout{5'000};        // wait for the answer to a Close; 10 ms..10 min; default 5s
  Ping ping;
  Reroute reroute;
  RouteProtection protection;  // its keys stand here
  std::optional<Auth> auth;    // absent = anybody may have a session

  bool operator==(const Route&) const = default;
};

struct BackendConfig {
  enum class Rank : std::uint8_t { primary, backup };  // "backup" in the file: false | true

  Address address;                 // required; no sockets = did not resolve: not to be dialled
  std::uint32_t weight = 1;        // share of sessions; 0..256, 0 = gets none; default 1
  std::uint64_t max_sessions = 0;  // 0 = no limit (default)
  Rank rank = Rank::primary;       // backup = used when no primary is eligible; default false
  std::string zone;                // letters, digits, ". _ -"; at most 64; default none
  std::optional<Probe> probe;      // instead of the upstream's; keys that it lacks are as there

  bool operator==(const BackendConfig&) const = default;
};

// Present = wss:// to the backends.
struct UpstreamTls {
  enum class Verify : std::uint8_t { yes, no };  // in the file: true | false

  Verify verify = Verify::yes;  // check chain and name; default true
  PemFile ca;                   // empty = the system's roots
  std::string server_name;      // SNI and name to check; default: the host in the backend's address
  Certificate certificate;      // ours, for mutual TLS; empty = none

  bool operator==(const UpstreamTls&) const = default;
};

// Evening out live sessions.
struct Rebalance {
  std::uint32_t threshold = 0;  // percent above the mean that is left alone; 0..1000; 0 = only on request
  std::uint32_t rate = 100;     // sessions moved a second; 1..100000; default 100

  bool operator==(const Rebalance&) const = default;
};

struct Upstream {
  std::string name;  // required; letters, digits, ". _ -"; at most 64
  Policy policy;     // least_connections | round_robin | two_choices | random | hash:…
  std::uint32_t hash_balance_factor = 125;  // percent of the mean load; "off" or 101..10000; default 125
  std::optional<Sticky> sticky;             // absent = no cookie
  milliseconds slow_start{0};               // 0 = off (default), else 100 ms..1 h
  Queue queue;
  std::uint32_t zone_min_percent = 70;    // of the own zone's weight, eligible; 0..100; default 70
  std::vector<BackendConfig> backends;    // 1..10000, 0 with `discover`; addresses differ
  std::optional<Discover> discover;       // where further ones are found
  std::optional<UpstreamTls> tls;         // absent = plain ws:// to the backends
  milliseconds connect_timeout{2'000};    // one try: TCP and TLS; 10 ms..10 min; default 2s
  milliseconds handshake_timeout{5'000};  // request sent to answer; 10 ms..10 min; default 5s
  milliseconds setup_timeout{15'000};     // all tries together; 10 ms..1 h; default 15s
  std::uint32_t move_rate = 500;          // planned moves a second; 0 = no limit; 0..100000; default 500
  std::uint32_t reroute_rate = 5'000;     // attempts a second; 0 = no limit; 0..1000000; default 5000
  Rebalance rebalance;
  ProxyVersion proxy_protocol = ProxyVersion::off;  // off | v1 | v2; default off
  std::vector<SocketAddress>
      source;  // where connections to backends come from; up to 64; none = the kernel's
  Probe probe;
  Outlier outlier;
  CircuitBreaker circuit_breaker;

  bool operator==(const Upstream&) const = default;
};

struct Admin {
  enum class MetricsAccess : std::uint8_t { token, open };  // in the file: false | true

  std::optional<Address> bind;  // default 127.0.0.1:9900; "" in the file = no admin port
  std::string token_file;       // absolute; "" = no token, allowed on loopback only
  MetricsAccess metrics_open = MetricsAccess::token;  // true = /metrics without the token
  std::string token;                                  // derived: content of token_file, white space trimmed

  bool operator==(const Admin&) const = default;
};

struct Log {
  LogLevel level = LogLevel::info;     // debug | info | warning | error; default info
  LogFormat format = LogFormat::text;  // text | json; default text
  std::string access = "-";            // "-" = stderr (default), "" = off, else absolute file name

  bool operator==(const Log&) const = default;
};

struct Limits {
  std::uint64_t hold_memory = 256ULL << 20;  // bytes that all sessions may hold; 1 MiB..1 TiB; default 256MiB
  std::uint32_t tls_handshakes = 64;         // at once per setup thread; 1..100000; default 64

  bool operator==(const Limits&) const = default;
};

struct Config {
  std::uint32_t workers = 0;        // threads per plane; 0 = "auto" (default), else 1..1024
  std::string zone;                 // of this proxy; backends of the same are preferred; default none
  std::vector<Listener> listeners;  // 1..1000
  std::vector<Route> routes;        // first match wins; none written = one to the only upstream
  std::vector<Upstream> upstreams;  // 1..10000, 0 with feeds
  std::vector<Feed> feeds;          // 0..1000
  Admin admin;
  Log log;
  Limits limits;
  milliseconds shutdown_delay{0};         // ready fails, accepting goes on; 0..1 h; default 0
  milliseconds shutdown_timeout{30'000};  // closes are spread over it, then cut; 0..24 h; default 30s

  bool operator==(const Config&) const = default;

  // Null when there is none of that name.
  [[nodiscard]] const Upstream* find_upstream(std::string_view name) const noexcept;
};

// What the threads share: swapped whole, never written. Generation 1 is the one started with.
struct Snapshot {
  Config config;
  std::uint64_t generation = 1;
};

}  // namespace holdfast::config
