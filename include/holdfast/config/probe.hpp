#pragma once
// upstreams[].probe and backends[].probe: how health is found out. Field names are the JSON keys.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast::config {

// automatic (written "auto"): tls where the upstream has `tls`, else tcp. settle.cpp replaces it.
enum class ProbeType : std::uint8_t { automatic, tcp, tls, http, websocket, none };

[[nodiscard]] std::string_view to_string(ProbeType value) noexcept;

struct StatusRange {
  std::uint16_t low = 0;
  std::uint16_t high = 0;  // included

  bool operator==(const StatusRange&) const = default;
};

// "200-399", "200,204,301-302". Empty when the text is none; then `why` says what is allowed.
[[nodiscard]] std::vector<StatusRange> parse_status_ranges(std::string_view text, std::string& why);

struct Probe {
  using Fields = std::vector<std::pair<std::string, std::string>>;
  static constexpr std::size_t most_fields = 50;
  static constexpr std::size_t most_text_bytes = 4096;  // of `send`, `expect` and `expect_body`

  ProbeType type = ProbeType::automatic;  // auto | tcp | tls | http | websocket | none; default auto
  std::string path = "/";                 // http and websocket: request target; default "/"
  std::string method = "GET";             // http: a token, at most 32 characters; default GET
  std::string host;                       // Host field; default: the backend's address as written
  Fields headers;                         // http and websocket: further fields; at most 50
  std::string expect_status = "200-399";  // http: codes and ranges of 100..599; default 200-399
  std::string expect_body;                // http: expectation.hpp, in its first 64 KiB; "" = any (default)
  std::string subprotocol;                // websocket: offered, and to be agreed on; "" = none (default)
  std::string send;                       // websocket: a text message instead of a ping; "" = none (default)
  std::string expect;                     // websocket: expectation.hpp, in a message; "" = any (default)
  std::uint16_t port = 0;                 // probed instead of the backend's; 0 = the backend's (default)
  std::chrono::milliseconds interval{2'000};   // 50 ms..1 h, jittered by the prober; default 2s
  std::chrono::milliseconds interval_down{0};  // while unhealthy; 0 = `interval` (default), else 50 ms..1 h
  std::chrono::milliseconds timeout{1'000};    // of one probe; 10 ms..10 min; default 1s
  std::uint32_t rise = 2;                      // passes in a row to become healthy; 1..100; default 2
  std::uint32_t fall = 3;                      // failures in a row to become unhealthy; 1..100; default 3

  bool operator==(const Probe&) const = default;
};

// A backend's own probe, else the upstream's.
[[nodiscard]] const Probe& probe_of(const Probe& common, const std::optional<Probe>& own) noexcept;

}  // namespace holdfast::config
