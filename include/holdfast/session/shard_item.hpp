#pragma once
// What may be sent to a shard (one pump thread's sessions).

#include "holdfast/base/inbox.hpp"

namespace holdfast::session {

class Shard;

struct ShardItem : InboxItem {
  /// On the shard's thread; the item dies afterwards.
  virtual void deliver_to(Shard& shard) noexcept = 0;
};

}  // namespace holdfast::session
