#pragma once
// feeds[]: one source connection for many clients. Field names are the JSON keys.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "holdfast/config/address.hpp"

namespace holdfast::config {

// What becomes of a subscriber that can't keep up.
enum class OnLag : std::uint8_t {
  conflate,          // only the newest message of the channel
  skip_to_snapshot,  // on with the latest snapshot, without one with the newest message
  drop_oldest,       // on with the oldest message that the ring still has
  disconnect,        // Close 1013: a stream with holes must not look complete
};
enum class JoinKind : std::uint8_t { none, snapshot, last };
enum class SourceMode : std::uint8_t { standby, redundant };
enum class ClientMessages : std::uint8_t { drop, forward };
enum class FeedCompression : std::uint8_t { off, deflate };

[[nodiscard]] std::string_view to_string(OnLag value) noexcept;
[[nodiscard]] std::string_view to_string(SourceMode value) noexcept;

// "ws://host:port/path" or "wss://…"; the path may hold "$name" of the route's ":name".
struct SourceUrl {
  enum class Scheme : std::uint8_t { ws, wss };

  std::string url;

  Scheme scheme = Scheme::ws;  // derived from url, as all of these
  Address address;             // without sockets where the host is a name: it is resolved at each connect
  std::string host;            // Host field
  std::string target;          // path and query, with its placeholders

  bool operator==(const SourceUrl& other) const { return url == other.url; }
};

// What is wrong with the text ("must …"), or "" and `out` is filled.
[[nodiscard]] std::string parse_source_url(const std::string& text, SourceUrl& out);

struct SourceTls {
  enum class Verify : std::uint8_t { yes, no };  // in the file: true | false

  Verify verify = Verify::yes;  // chain and name; default true
  std::string ca;               // absolute; "" = the system's roots (default)
  std::string server_name;      // SNI and name to check; default: the host of the URL
  std::string ca_pem;           // derived: content of `ca`

  bool operator==(const SourceTls&) const = default;
};

// What the source allows; 0 = what the dialect says (default).
struct SourceLimits {
  std::uint32_t subscriptions_per_connection = 0;  // 1..1000000; more connections are opened when needed
  std::uint32_t messages_per_second = 0;           // 1..1000000; per connection, others wait
  std::uint32_t connects_per_5min = 0;             // 1..1000000; of the feed

  bool operator==(const SourceLimits&) const = default;
};

struct Source {
  static constexpr std::size_t most_urls = 16;
  static constexpr std::size_t most_headers = 50;

  std::vector<SourceUrl> urls;            // this or `upstream`; 1..16, in order of preference
  std::string upstream;                   // name; its backends are the sources, picked as for sessions
  std::string path = "/";                 // with `upstream`: the target, may hold "$name"; default "/"
  SourceMode mode = SourceMode::standby;  // standby | redundant; default standby
  std::chrono::milliseconds connect_timeout{10'000};  // connect to 101; 10 ms..10 min; default 10s
  std::chrono::milliseconds silence_timeout{
      0};  // no byte of it for so long = dead; 0 = off (default), 100 ms..1 h
  std::chrono::milliseconds ping_interval{20'000};  // 0 = never, 1 s..24 h; default 20s
  std::chrono::milliseconds ping_timeout{10'000};   // 100 ms..1 h; default 10s
  std::chrono::milliseconds retry_max{
      10'000};  // longest wait before it is tried again; 100 ms..1 h; default 10s
  std::chrono::milliseconds rotate_after{
      0};                                   // another connection takes over; 0 = off (default), 1 s..31 days
  std::uint64_t max_message = 16ULL << 20;  // 1 KiB..128 MiB; default 16MiB
  std::string subprotocol;                  // asked for, and needed then; "" = none (default)
  std::vector<std::pair<std::string, std::string>> headers;       // of the request; at most 50
  std::vector<std::pair<std::string, std::string>> header_files;  // value is a file's content, trimmed
  SourceTls tls;
  SourceLimits limits;

  std::vector<std::pair<std::string, std::string>> read_headers;  // derived from header_files

  bool operator==(const Source&) const = default;
};

struct Ring {
  std::uint64_t bytes = 8ULL << 20;       // per channel; 4 KiB..1 GiB; default 8MiB
  std::chrono::milliseconds age{60'000};  // 100 ms..24 h; default 60s

  bool operator==(const Ring&) const = default;
};

struct Join {
  JoinKind kind = JoinKind::none;  // "none" (default) | "snapshot" | {"last": N}
  std::uint32_t last = 0;          // 1..100000

  bool operator==(const Join&) const = default;
};

// A subscriber is too slow when it is behind by more than `behind` and takes less than `floor` over `window`.
struct Slow {
  std::chrono::milliseconds behind{5'000};  // 10 ms..1 h; default 5s
  std::uint32_t floor = 1;                  // messages a second; 0..1000000; default 1
  std::chrono::milliseconds window{5'000};  // 100 ms..10 min; default 5s

  bool operator==(const Slow&) const = default;
};

struct Feed {
  std::string name;                // required; letters, digits, ". _ -"; at most 64
  Source source;                   // may be nothing with a dialect that asks nothing of it
  std::string dialect = "opaque";  // "opaque" (default), one that is shipped, or a file (absolute): has a "/"
  std::string channel;             // "$name" parts; clients with the same text share a source; default ""
  Join join;
  std::chrono::milliseconds request_timeout{
      10'000};                                  // source's answer to a client; 100 ms..10 min; default 10s
  std::chrono::milliseconds linger{10'000};     // source kept after the last client; 0..1 h; default 10s
  std::chrono::milliseconds flush_interval{0};  // what comes faster goes together; 0..1 s; default 0
  Ring ring;
  OnLag on_lag = OnLag::disconnect;  // default disconnect
  Slow slow;
  ClientMessages client_messages = ClientMessages::drop;   // drop | forward; default drop
  FeedCompression compression = FeedCompression::deflate;  // off | deflate; default deflate
  std::uint32_t max_channels = 1'000;                      // 1..1000000; default 1000
  std::uint32_t max_channels_per_client = 0;               // 1..1000000; 0 = half of max_channels (default)

  std::string dialect_text;  // derived: content of the file

  bool operator==(const Feed&) const = default;
};

/// So that others have the other half.
[[nodiscard]] inline std::uint32_t channels_per_client(const Feed& feed) noexcept {
  return feed.max_channels_per_client == 0 ? (feed.max_channels + 1) / 2 : feed.max_channels_per_client;
}

[[nodiscard]] inline bool is_dialect_file(std::string_view dialect) noexcept {
  return dialect.find('/') != std::string_view::npos;
}

}  // namespace holdfast::config
