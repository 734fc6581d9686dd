#include "feed/channel.hpp"

#include <algorithm>

namespace holdfast::feed {

Sequence joining_point(const Log& log, const config::Join& join) noexcept {
  switch (join.kind) {
    case config::JoinKind::none:
      break;
    case config::JoinKind::snapshot:
      return log.latest_snapshot();
    case config::JoinKind::last: {
      Sequence point = log.end();
      for (std::uint32_t left = join.last; left != 0 && point != log.begin();)
        left -= log.at(--point).kind == FrameKind::aside ? 0 : 1;
      return point;
    }
  }
  return log.end();
}

Sequence point_after_lag(const Log& log, Sequence next, config::OnLag policy) noexcept {
  const Sequence newest = log.end() - std::min<std::size_t>(log.size(), 1);
  switch (policy) {
    case config::OnLag::conflate:
      return std::max(next, newest);
    case config::OnLag::skip_to_snapshot: {
      const Sequence snapshot = log.latest_snapshot();
      return std::max(next, snapshot == log.end() ? newest : snapshot);
    }
    case config::OnLag::drop_oldest:
    case config::OnLag::disconnect:
      break;
  }
  return std::max(next, log.begin());
}

Rules rules_of(const config::Feed& settings, const dialect::ChannelSettings& channel) {
  Rules rules;
  rules.join = channel.join.value_or(settings.join);
  rules.on_lag = channel.on_lag.value_or(settings.on_lag);
  rules.retention.bytes = settings.ring.bytes;
  rules.retention.age = settings.ring.age;
  rules.retention.last = rules.join.kind == config::JoinKind::last ? rules.join.last : 1;
  rules.retention.from_snapshot =
      rules.join.kind == config::JoinKind::snapshot || rules.on_lag == config::OnLag::skip_to_snapshot;
  rules.slow = settings.slow;
  return rules;
}

}  // namespace holdfast::feed
