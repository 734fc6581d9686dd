#pragma once
// `holdfast demo`: a whole cluster in one process, to look at and to try.

#include <cstddef>

namespace holdfast::server {

enum class DemoMode {
  serve,  ///< until SIGTERM or Ctrl-C
  check,  ///< shows by itself that it works, a line for each step, and ends
};

inline constexpr std::size_t most_demo_clients = 8'000;

/// `crowd`: so many embedded clients follow the market, at most most_demo_clients. Returns the exit status.
[[nodiscard]] int run_demo(DemoMode mode, std::size_t crowd);

}  // namespace holdfast::server
