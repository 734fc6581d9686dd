#pragma once
// What outlives a run: one shard, whose sessions, records and attempts belong to the present run.

#include <array>
#include <memory>
#include <string>

#include "holdfast/session/shard.hpp"
#include "sim/connection.hpp"

namespace holdfast::sim {

/// Who is told by the shard.
class Run {
 public:
  virtual void asked(std::unique_ptr<session::Attempt> attempt) = 0;
  virtual void recorded(const session::AccessRecord& record) = 0;
  virtual void rerouted(const session::RerouteRecord& record) = 0;

 protected:
  ~Run() = default;
};

class Stage final : private session::AccessSink, private session::WarningSink, private session::RerouteDesk {
 public:
  static constexpr std::uint64_t ping_marker = 0x1122334455667788ULL;
  /// So that its share of the moves under way is a single one, and a leaked one shows.
  static constexpr std::uint32_t shards = 256;

  Stage() = default;
  void give_to(Run* run) noexcept { run_ = run; }
  [[nodiscard]] net::Loop& loop() noexcept { return shard.loop(); }

  Descriptors descriptors;
  metrics::PumpCells pump_cells;
  metrics::SessionCells open_sessions;
  session::Shard shard{{0, pump_cells, *this, *this, ping_marker, this, 256ULL << 20, shards, nullptr}};

 private:
  void ask(std::unique_ptr<session::Attempt> attempt) noexcept override { run_->asked(std::move(attempt)); }
  [[nodiscard]] bool wants_access_records() const noexcept override { return true; }
  void record(std::unique_ptr<session::AccessRecord> record) noexcept override { run_->recorded(*record); }
  void record(std::unique_ptr<session::RerouteRecord> record) noexcept override { run_->rerouted(*record); }
  void warn(std::string) noexcept override {}

  Run* run_ = nullptr;
};

}  // namespace holdfast::sim
