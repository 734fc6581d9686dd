#pragma once
// What the kernel tells about this process, under the names that every Prometheus client uses.

#include <cstdint>

namespace holdfast::metrics {

struct ProcessFigures {
  double cpu_seconds = 0;  // user and system
  double resident_bytes = 0;
  double virtual_bytes = 0;
  double start_time_seconds = 0;  // since the epoch
  double open_fds = 0;
  double max_fds = 0;  // the soft limit
};

/// What can't be read (no /proc) stays 0.
[[nodiscard]] ProcessFigures process_figures();

}  // namespace holdfast::metrics
