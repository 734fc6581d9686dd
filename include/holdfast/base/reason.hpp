#pragma once
// Why a session ended: one enum is the log word, the metric label and the source of both Close codes.

#include <cstddef>
#include <cstdint>

namespace holdfast {

enum class Reason : std::uint8_t {
  none,                ///< still open
  client_closed,       ///< the client sent a Close; relayed
  backend_closed,      ///< the backend sent a Close; relayed
  client_violation,    ///< the client broke RFC 6455
  message_too_big,     ///< a message above max_message or max_message_to_client
  backend_violation,   ///< the backend broke RFC 6455
  client_vanished,     ///< FIN, RST or silence of the client without a Close
  backend_lost,        ///< FIN, RST or silence of the backend without a Close
  cut_mid_message,     ///< as backend_lost, inside a fragmented message
  cut_mid_frame,       ///< as backend_lost, inside a frame whose head the client has
  idle,                ///< idle_timeout without a data frame
  max_age,             ///< older than max_age
  drain,               ///< SIGTERM
  upstream_gone,       ///< a reload removed the upstream
  internal,            ///< our shortage or a bug
  no_backend,          ///< `reroute.hold` or `attempts` over without another backend
  reroute_refused,     ///< another backend answered 401 or 403
  kills_backends,      ///< its legs died early three times in a minute
  closed_by_operator,  ///< POST /sessions/ID/close
  token_expired,       ///< the token that let it in is over
  too_many_messages,   ///< above max_messages_per_second, with rate_mode "close"
  too_many_bytes,      ///< above max_bytes_per_second, with rate_mode "close"
  too_many_fragments,  ///< a message of more than max_fragments frames
  too_slow,            ///< a feed's subscriber can't keep up, with on_lag "disconnect"
  feed_gone,           ///< a reload removed the feed
  too_many_channels,   ///< of a feed: above max_channels
};
inline constexpr std::size_t reason_count = 26;

/// A Close code of 0 means: no Close frame is written to that side.
struct Ending {
  const char* text;
  std::uint16_t to_client;
  std::uint16_t to_backend;
};

/// SESSIONS.md section 3 as a table.
[[nodiscard]] constexpr Ending ending(Reason reason) noexcept {
  switch (reason) {
    case Reason::none:
      return {"none", 0, 0};
    case Reason::client_closed:
      return {"client_closed", 0, 0};
    case Reason::backend_closed:
      return {"backend_closed", 0, 0};
    case Reason::client_violation:
      return {"client_violation", 1002, 1001};
    case Reason::message_too_big:
      return {"message_too_big", 1009, 1001};
    case Reason::backend_violation:
      return {"backend_violation", 1011, 1002};
    case Reason::client_vanished:
      return {"client_vanished", 0, 0};
    case Reason::backend_lost:
      return {"backend_lost", 1012, 0};
    case Reason::cut_mid_message:
      return {"cut_mid_message", 1012, 0};
    case Reason::cut_mid_frame:
      return {"cut_mid_frame", 0, 0};
    case Reason::idle:
      return {"idle", 1001, 1001};
    case Reason::max_age:
      return {"max_age", 1001, 1001};
    case Reason::drain:
      return {"drain", 1001, 1001};
    case Reason::upstream_gone:
      return {"upstream_gone", 1012, 1001};
    case Reason::internal:
      return {"internal", 1011, 1011};
    case Reason::no_backend:
      return {"no_backend", 1013, 0};
    case Reason::reroute_refused:
      return {"reroute_refused", 1012, 0};
    case Reason::kills_backends:
      return {"kills_backends", 1011, 1011};
    case Reason::closed_by_operator:
      return {"closed_by_operator", 1001, 1001};
    case Reason::token_expired:
      return {"token_expired", 4401, 1001};  // `at_expiry` may tell the client another code
    case Reason::too_many_messages:
      return {"too_many_messages", 1008, 1001};
    case Reason::too_many_bytes:
      return {"too_many_bytes", 1008, 1001};
    case Reason::too_many_fragments:
      return {"too_many_fragments", 1008, 1001};
    case Reason::too_slow:
      return {"too_slow", 1013, 0};
    case Reason::feed_gone:
      return {"feed_gone", 1012, 0};
    case Reason::too_many_channels:
      return {"too_many_channels", 1013, 0};
  }
  return {"none", 0, 0};
}

[[nodiscard]] constexpr const char* text(Reason reason) noexcept {
  return ending(reason).text;
}

}  // namespace holdfast
