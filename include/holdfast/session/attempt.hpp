#pragma once
// Asking the setup plane for another backend leg: one Attempt out, exactly one AttemptReply back. A reply
// whose session has ended or asked again meanwhile is dropped by its receiver, leg and seat with it.

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/cause.hpp"
#include "holdfast/base/clock.hpp"
#include "holdfast/base/slab.hpp"
#include "holdfast/net/leg.hpp"
#include "holdfast/session/continuation.hpp"
#include "holdfast/session/route_state.hpp"
#include "holdfast/session/shard_item.hpp"
#include "holdfast/upstream/backend.hpp"

namespace holdfast::session {

class Shard;

/// 128 random bits; travels as 32 hexadecimal digits.
struct SessionId {
  std::array<std::uint8_t, 16> bytes{};
  [[nodiscard]] std::string text() const;
  friend bool operator==(const SessionId&, const SessionId&) = default;
};

/// Whether a session can go on with another backend at all, settled by its first handshake.
enum class Continuity : std::uint8_t {
  none,        ///< an extension whose state can't be handed on was agreed
  whole,       ///< any message boundary will do
  until_used,  ///< until the client has sent its first compressed message (`compression: "pass"`)
};

/// Written by its shard, read by the setup thread that does it.
struct Attempt {
  static constexpr std::size_t most_excluded = 4;

  Shard* shard = nullptr;  ///< who gets the reply
  Handle session;
  SessionId id;
  std::uint32_t number = 0;    ///< of this attempt within the session
  std::uint32_t retry = 0;     ///< how many failed before it in this reroute
  std::uint32_t reroutes = 0;  ///< n of Holdfast-Reroute: 1 at the first reroute
  Cause cause = Cause::lost;
  RouteState* route = nullptr;
  std::string upstream;  ///< of the leg before, for a route that is gone
  std::unique_ptr<const Continuation> continuation;
  std::array<const upstream::Backend*, most_excluded> exclude{};  ///< compared only; null = unused
  std::optional<std::uint64_t> hash_key;  ///< the desk's: where the upstream's policy hashes
  TimePoint deadline;                     ///< nobody waits longer
  /// Only whether there is a place: `ready` comes without a leg.
  bool looks_only = false;
  std::shared_ptr<const std::atomic<bool>> withdrawn;  ///< true: not wanted any more
};

enum class AttemptResult : std::uint8_t {
  ready,    ///< leg and seat are there
  nobody,   ///< no eligible backend besides the excluded ones; nothing was dialled
  no_way,   ///< dialled and not reached: connect, TLS, time-out, EOF, shortage of ours
  misfit,   ///< answered, but not so that this session can go on (a 5xx, other extensions, garbage)
  refused,  ///< answered 401 or 403: final
  gone,     ///< the upstream no longer exists
};

struct AttemptReply final : ShardItem {
  Handle session;
  std::uint32_t number = 0;
  AttemptResult result = AttemptResult::nobody;
  std::unique_ptr<net::Leg> leg;
  std::optional<upstream::Seat> seat;
  std::string early;                         ///< what the backend sent behind its 101
  const upstream::Backend* tried = nullptr;  ///< compared only
  std::string what;                          ///< why not, for the log

  void deliver_to(Shard& shard) noexcept override;
};

/// The setup plane, as a shard sees it. Any thread; never blocks; the reply comes through Shard::send.
class RerouteDesk {
 public:
  virtual void ask(std::unique_ptr<Attempt> attempt) noexcept = 0;

 protected:
  ~RerouteDesk() = default;
};

}  // namespace holdfast::session
