#pragma once
// What the access log tells of one connection: made where it ends, written by the log thread.

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "holdfast/base/cause.hpp"
#include "holdfast/base/inbox.hpp"
#include "holdfast/base/reason.hpp"

namespace holdfast::session {

enum class ClosedBy : std::uint8_t { proxy, client, backend };

[[nodiscard]] constexpr const char* text(ClosedBy who) noexcept {
  switch (who) {
    case ClosedBy::client:
      return "client";
    case ClosedBy::backend:
      return "backend";
    case ClosedBy::proxy:
      break;
  }
  return "proxy";
}

/// Known from the handshake on; one allocation per session.
struct Story {
  std::string client;  ///< address and port
  std::string listener;
  std::string host;
  std::string path;  ///< without the query: tokens travel there
  std::string upstream;
  std::string backend;             ///< address as written in the config
  std::uint32_t handshake_ms = 0;  ///< accept to 101
};

struct Traffic {
  std::uint64_t frames = 0;
  std::uint64_t bytes = 0;  ///< wire bytes of frames, TLS not counted
};

/// A session (status 101) or a handshake that ended without one.
struct AccessRecord final : InboxItem {
  Story story;
  std::string route;
  unsigned status = 101;
  std::string detail;  ///< why there was no session
  std::chrono::milliseconds duration{0};
  Traffic to_backend;
  Traffic to_client;
  std::uint32_t reroutes = 0;     ///< backend legs after the first; story.backend is the last one
  std::uint32_t rate_pauses = 0;  ///< times that its client was not read because it sent too fast
  std::uint16_t close_code = 0;   ///< 0 = no Close was seen
  Reason reason = Reason::none;
  ClosedBy closed_by = ClosedBy::proxy;
};

/// One reroute or move that came to its end.
struct RerouteRecord final : InboxItem {
  std::string session;  ///< id, 32 hexadecimal digits
  std::string client;   ///< address and port
  std::string route;
  std::string upstream;
  std::string from;  ///< backend addresses; `to` is empty when there is none
  std::string to;
  Cause cause = Cause::lost;
  RerouteResult result = RerouteResult::attached;
  /// How long no backend could answer the client: from the loss of the leg, or our Close to it, until the
  /// next one is read.
  std::chrono::milliseconds pause{0};
  std::uint32_t attempts = 0;
  std::uint64_t resent = 0;       ///< messages sent again
  std::uint64_t undelivered = 0;  ///< messages certainly lost
  std::uint64_t unconfirmed = 0;  ///< messages that no backend message followed
  std::string detail;             ///< why it failed
};

/// Any thread; never blocks.
class AccessSink {
 public:
  /// False: AccessRecords would be thrown away; they need not be made.
  [[nodiscard]] virtual bool wants_access_records() const noexcept = 0;
  virtual void record(std::unique_ptr<AccessRecord> record) noexcept = 0;
  virtual void record(std::unique_ptr<RerouteRecord> record) noexcept = 0;

 protected:
  ~AccessSink() = default;
};

}  // namespace holdfast::session
