#pragma once
// routes[].auth: who may open a session, and for how long. Field names are the JSON keys.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "holdfast/config/address.hpp"

namespace holdfast::config {

enum class JwtAlgorithm : std::uint8_t { hs256, rs256, es256 };

[[nodiscard]] std::string_view to_string(JwtAlgorithm value) noexcept;

// Where a request may carry its token: "header", "header:NAME", "cookie:NAME", "query:NAME", "subprotocol".
struct TokenPlace {
  enum class Kind : std::uint8_t { header, cookie, query, subprotocol };

  Kind kind = Kind::header;
  std::string name;  // header: empty = Authorization, behind "Bearer"

  bool operator==(const TokenPlace&) const = default;
};

// Nothing when the text is none; then `why` says what is allowed.
[[nodiscard]] std::optional<TokenPlace> parse_token_place(std::string_view text, std::string& why);
[[nodiscard]] std::string to_text(const TokenPlace& place);

// A signed token, checked here (RFC 7519).
struct Jwt {
  enum class Expiry : std::uint8_t { required, optional };  // require_exp in the file: true | false
  enum class Token : std::uint8_t { passed_on, stripped };  // strip in the file: false | true
  static constexpr std::size_t least_secret_bytes = 32;     // RFC 7518 section 3.2
  static constexpr std::size_t most_claims = 50;
  static constexpr std::uint16_t stay = 0;

  std::string keys_file;    // absolute; JWKS or a PEM public key; this or secret_file is required
  std::string secret_file;  // absolute; for HS256
  std::vector<JwtAlgorithm>
      algorithms;  // HS256 | RS256 | ES256; default: HS256 with a secret, else the other two
  std::vector<TokenPlace> from{TokenPlace{}};  // asked in this order; 1..10; default "header"
  std::string issuer;                          // must be the token's iss; "" = any (default)
  std::vector<std::string> audience;           // one of them must be in the token's aud; none = any (default)
  std::chrono::milliseconds leeway{10'000};    // that clocks may differ; 0..10 min; default 10s
  Expiry require_exp = Expiry::required;       // default true
  Token strip = Token::passed_on;              // default false
  std::vector<std::pair<std::string, std::string>> claims_to_headers;  // claim, field; at most 50
  std::uint16_t at_expiry = 4401;  // Close code: 1008, 3000..4999; "stay" = 0 = no end; default 4401

  std::string keys;    // derived: content of keys_file
  std::string secret;  // derived: content of secret_file, white space trimmed; 32 bytes at least

  bool operator==(const Jwt&) const = default;
};

// An HTTP service that is asked.
struct ForwardAuth {
  enum class Scheme : std::uint8_t { http, https };
  static constexpr std::size_t most_headers = 50;

  std::string url;                           // required; http:// or https://
  std::string ca;                            // absolute; for https; "" = the system's roots (default)
  std::chrono::milliseconds timeout{2'000};  // connect to answer; 10 ms..1 min; default 2s
  std::vector<std::string> copy_headers;     // of its answer, for the backend; at most 50
  std::chrono::milliseconds cache{0};  // how long an answer is good for; 0 = off (default), 100 ms..5 min

  Scheme scheme = Scheme::http;  // derived from url, as all of these
  Address address;
  std::string host;    // Host field
  std::string target;  // path and query
  std::string ca_pem;

  bool operator==(const ForwardAuth&) const = default;
};

// Fills what is derived from `url` but the addresses; what is wrong with it ("must …"), or "".
[[nodiscard]] std::string parse_url(const std::string& text, ForwardAuth& out);

// At least one of them; an empty object must not look like protection.
struct Auth {
  std::optional<Jwt> jwt;
  std::optional<ForwardAuth> forward_auth;  // asked after jwt

  bool operator==(const Auth&) const = default;
};

// What is asked for, as a phrase: "a token (RS256; header, cookie:t), and http://127.0.0.1:9000/verify".
[[nodiscard]] std::string summary(const Auth& auth);

}  // namespace holdfast::config
