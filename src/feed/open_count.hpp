#pragma once
// How many of a channel's connections are open, for the metrics: a channel without one is dark.
//
// Thread: the source thread's.

#include <cassert>
#include <cstddef>

#include "holdfast/metrics/feed_cells.hpp"

namespace holdfast::feed {

class OpenCount {
 public:
  explicit OpenCount(metrics::SourceCells& cells) : cells_(cells) { cells_.dark.add(1); }
  OpenCount(const OpenCount&) = delete;
  OpenCount& operator=(const OpenCount&) = delete;
  /// All are closed again.
  ~OpenCount() { cells_.dark.add(-1); }

  void opened() noexcept {
    cells_.connections.add(1);
    if (open_++ == 0) cells_.dark.add(-1);
  }
  void closed() noexcept {
    assert(open_ != 0);
    cells_.connections.add(-1);
    if (--open_ == 0) cells_.dark.add(1);
  }

 private:
  metrics::SourceCells& cells_;
  std::size_t open_ = 0;
};

}  // namespace holdfast::feed
