#pragma once
// What is known of one feed across reloads: its name, its counters, and what subscribers need of its
// settings.
//
// Threads: written by the control thread (`apply`), read by all. Lives as long as the process.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "holdfast/config/feed.hpp"
#include "holdfast/dialect/dialect.hpp"
#include "holdfast/metrics/feed_cells.hpp"

namespace holdfast::feed {

class FeedState {
 public:
  /// `cells`: one block per pump thread, in the order of the threads.
  FeedState(std::string name, std::vector<metrics::FeedCells*> cells, metrics::SourceCells& source_cells)
      : name_(std::move(name)), cells_(std::move(cells)), source_cells_(source_cells) {}
  FeedState(const FeedState&) = delete;
  FeedState& operator=(const FeedState&) = delete;

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] metrics::FeedCells& cells(std::size_t pump_thread) const noexcept {
    return *cells_[pump_thread];
  }
  [[nodiscard]] metrics::SourceCells& source_cells() const noexcept { return source_cells_; }

  void apply(const config::Feed& settings, std::shared_ptr<const dialect::Dialect> dialect) {
    const bool forwards = settings.client_messages == config::ClientMessages::forward;
    hears.store(forwards || !dialect->is_opaque(), std::memory_order_relaxed);
    channels_per_client.store(
        std::min(config::channels_per_client(settings), dialect->limits().keys_per_client),
        std::memory_order_relaxed);
    const std::lock_guard lock(mutex_);
    dialect_ = std::move(dialect);
    dialect_version.fetch_add(1, std::memory_order_release);
  }
  /// Takes a lock: to be kept until `dialect_version` is another.
  [[nodiscard]] std::shared_ptr<const dialect::Dialect> dialect() const {
    const std::lock_guard lock(mutex_);
    return dialect_;
  }

  std::atomic<std::uint32_t> dialect_version{0};
  std::atomic<bool> hears{false};                     ///< what clients say is of use
  std::atomic<std::uint32_t> channels_per_client{0};  ///< at most, where it may ask for some
  std::atomic<std::size_t> forwards_under_way{0};     ///< bytes on their way to the source thread
  std::atomic<std::uint32_t> packed_wanted{0};        ///< subscribers that take deflated messages

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const dialect::Dialect> dialect_;
  const std::string name_;
  const std::vector<metrics::FeedCells*> cells_;
  metrics::SourceCells& source_cells_;
};

}  // namespace holdfast::feed
