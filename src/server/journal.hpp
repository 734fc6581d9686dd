#pragma once
// The log thread. Everybody hands in finished structs or sentences; only this thread formats and touches
// files, so nobody else ever waits for a disk. When it falls behind by `most_pending` entries, further ones
// are dropped and counted, and the log says how many.
//
// Threads: `line`, `record`, `warn` any; `apply` and `stop` the control thread.

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include "holdfast/base/error.hpp"
#include "holdfast/base/inbox.hpp"
#include "holdfast/config/config.hpp"
#include "holdfast/session/access.hpp"
#include "holdfast/session/shard.hpp"

namespace spdlog {
class logger;
}

namespace holdfast::server {

class Journal final : public session::AccessSink, public session::WarningSink {
 public:
  static constexpr std::uint64_t most_pending = 65'536;

  Journal();
  ~Journal();  ///< writes what is pending first
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  /// Where to write, opened but not yet in use.
  struct Outputs {
    config::LogLevel level = config::LogLevel::info;
    config::LogFormat format = config::LogFormat::text;
    std::shared_ptr<spdlog::logger> log;
    std::shared_ptr<spdlog::logger> access;  ///< null = off
  };
  /// Opens the access file (again: after a rotation) for these settings.
  [[nodiscard]] static Result<Outputs> prepare(const config::Log& settings);
  void adopt(Outputs outputs);

  /// Writes what is pending and ends the thread; false if it is still at it after `longest` (nobody reads our
  /// stderr).
  [[nodiscard]] bool finish(std::chrono::milliseconds longest);

  void line(config::LogLevel level, std::string sentence) noexcept;
  void info(std::string sentence) noexcept { line(config::LogLevel::info, std::move(sentence)); }
  void inform(std::string sentence) noexcept override { info(std::move(sentence)); }
  void warn(std::string sentence) noexcept override { line(config::LogLevel::warning, std::move(sentence)); }
  void error(std::string sentence) noexcept { line(config::LogLevel::error, std::move(sentence)); }
  [[nodiscard]] bool wants_access_records() const noexcept override {
    return has_access_.load(std::memory_order_relaxed);
  }
  void record(std::unique_ptr<session::AccessRecord> record) noexcept override;
  void record(std::unique_ptr<session::RerouteRecord> record) noexcept override;

 private:
  struct Line;
  struct Apply final : InboxItem {
    explicit Apply(Outputs to) : outputs(std::move(to)) {}
    Outputs outputs;
  };
  void hand_in(InboxItem* item) noexcept;
  void run();
  void write(InboxItem& item);
  void write_line(config::LogLevel level, const std::string& sentence);
  void write_access(const session::AccessRecord& record);
  void write_reroute(const session::RerouteRecord& record);

  Inbox inbox_;
  std::atomic<std::uint64_t> pending_{0};
  std::atomic<std::uint64_t> dropped_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<bool> has_access_{false};  ///< of the outputs adopted last
  Outputs outputs_;                      ///< the log thread's
  std::promise<void> ended_;
  std::thread thread_;
};

}  // namespace holdfast::server
