#pragma once
// The process: threads, signals, reload, drain. Owns everything; the control thread is the one that calls
// `run`.

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/config/load.hpp"

namespace holdfast::server {

inline constexpr int exit_ok = 0;
inline constexpr int exit_failure = 1;  ///< at run time: a port is taken, no threads
inline constexpr int exit_usage = 2;    ///< bad config or command line

struct Options {
  std::string config_file;  ///< read at start and at every reload
  std::string
      ready_file;  ///< written (atomically) with pid and bound addresses once all sockets listen; "" = none
  /// For `holdfast demo`: a config made in code instead of the file; such a process can't reload.
  std::optional<config::Config> built_in;
  /// Called on the control thread once everything listens: listener name → bound address, and the admin's
  /// address.
  std::function<void(const std::map<std::string, std::string>& listeners, const std::string& admin)> on_ready;
};

/// The real file system and resolver; certificates and keys are judged by check_beyond_syntax.
[[nodiscard]] config::World world();

/// What can be wrong with a loaded config beyond its syntax: TLS material. Empty = nothing.
[[nodiscard]] std::vector<config::Problem> check_beyond_syntax(const config::Config& config);

class Server {
 public:
  explicit Server(Options options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Serves until a drain is over; returns the exit status.
  [[nodiscard]] int run();
  /// As SIGTERM does; any thread.
  void terminate();

 private:
  class Process;
  std::unique_ptr<Process> process_;
};

}  // namespace holdfast::server
