#pragma once
// How an upstream's next backend is found. Field names are the JSON keys, but for `policy`, which is one
// string.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::config {

// In the file: "least_connections", …, or "hash:" and what is hashed.
enum class PolicyKind : std::uint8_t { least_connections, round_robin, two_choices, random, hash };
enum class HashOn : std::uint8_t { ip, header, cookie, query, path };
enum class SameSite : std::uint8_t { strict, lax, none };

struct Policy {
  PolicyKind kind = PolicyKind::least_connections;
  HashOn on = HashOn::ip;  // of kind hash
  std::string name;        // of the header, cookie or query parameter

  bool operator==(const Policy&) const = default;
};

[[nodiscard]] std::string_view to_string(PolicyKind value) noexcept;
[[nodiscard]] std::string_view to_string(SameSite value) noexcept;
[[nodiscard]] std::string to_string(const Policy& policy);  // as in the file
// Nothing is returned and `why` says what is allowed.
[[nodiscard]] std::optional<Policy> parse_policy(const std::string& text, std::string& why);

struct Sticky {
  std::string cookie = "hf_backend";         // its name: a token, up to 64
  std::chrono::milliseconds ttl{3'600'000};  // 0 = until the browser ends, else 1 s..400 days; default 1h
  SameSite same_site = SameSite::lax;        // strict | lax | none; default lax
  std::string secret_file;                   // absolute; "" = a key of this process only (default)
  std::string secret;  // derived: content of secret_file, white space trimmed; 16 bytes at least

  bool operator==(const Sticky&) const = default;
};

// Where handshakes wait while all backends are full.
struct Queue {
  std::uint32_t length = 0;                  // 0 = nobody waits (default); ..100000
  std::chrono::milliseconds timeout{5'000};  // 10 ms..10 min; default 5s

  bool operator==(const Queue&) const = default;
};

}  // namespace holdfast::config
