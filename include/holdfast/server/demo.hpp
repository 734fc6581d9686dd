#pragma once
// `holdfast demo`: a whole cluster in one process, to look at and to try.

namespace holdfast::server {

enum class DemoMode {
  serve,  ///< until SIGTERM or Ctrl-C
  check,  ///< shows by itself that it works, a line for each step, and ends
};

/// Returns the exit status.
[[nodiscard]] int run_demo(DemoMode mode);

}  // namespace holdfast::server
