#pragma once
// What the control thread tells and asks the shards about sessions: move those of a backend, list, close.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "holdfast/base/cause.hpp"
#include "holdfast/session/access.hpp"
#include "holdfast/session/attempt.hpp"

namespace holdfast::session {

/// Sessions on these backends are to move (make before break), each shard at its share of the upstream's
/// move_rate. `most`: how many of this shard's at most. Sessions whose route has no such occasion in
/// `reroute.on`, or that can't move now, stay and are not counted.
struct MoveSessions final : ShardItem {
  using Backends = std::vector<std::shared_ptr<const upstream::Backend>>;
  MoveSessions(Backends of, Cause why, std::uint64_t at_most)
      : from(std::move(of)), cause(why), most(at_most) {
    std::ranges::sort(from);
  }
  [[nodiscard]] bool concerns(const upstream::Backend* backend) const noexcept;
  Backends from;  ///< in the order of their addresses: looked through for each session
  Cause cause;
  std::uint64_t most;
  void deliver_to(Shard& shard) noexcept override;
};

/// One line of GET /sessions.
struct SessionView {
  SessionId id;
  std::string client, listener, route, upstream, backend;
  std::string state;  ///< "open", "held", "moving", "closing"
  std::uint64_t age_ms = 0;
  std::uint32_t reroutes = 0;
  Traffic to_backend;
  Traffic to_client;
};

/// Up to `most` sessions of one upstream (empty = all); the promise is always kept.
struct ListSessions final : ShardItem {
  std::string upstream;
  std::size_t most = 0;
  std::promise<std::vector<SessionView>> answer;
  void deliver_to(Shard& shard) noexcept override;
};

/// POST /sessions/ID/{close,move}.
struct SessionOrder final : ShardItem {
  enum class What : std::uint8_t { close, move };
  SessionId id;
  What what = What::close;
  struct Answer {
    bool found = false;             ///< this shard has that session
    const char* why_not = nullptr;  ///< it can't do that, because …
  };
  std::promise<Answer> answer;
  void deliver_to(Shard& shard) noexcept override;
};

}  // namespace holdfast::session
