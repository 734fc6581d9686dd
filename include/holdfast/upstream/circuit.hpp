#pragma once
// What is too much for an upstream as a whole, whatever its backends say: sessions, and backends that are
// being dialled. Sessions are counted from their pick to their end, those that wait for another backend too,
// so a reroute needs no place of its own; dials are handshakes' and reroutes' alike.
//
// Threads: any, for every function; the limits are the control thread's. Nothing here is called per message.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

namespace holdfast::upstream {

class Circuit {
 public:
  /// What a new session was refused for.
  enum class Break : std::uint8_t {
    sessions,  ///< max_sessions
    pending,   ///< max_pending
    retries,   ///< the retry budget is spent: no other backend was tried
  };
  static constexpr std::size_t break_count = 3;
  [[nodiscard]] static std::string_view text(Break which) noexcept;

  /// One of what is counted, until its end; move-only. The Circuit outlives it.
  class Place {
   public:
    Place() = default;
    Place(Place&& other) noexcept : count_(std::exchange(other.count_, nullptr)) {}
    Place& operator=(Place&& other) noexcept {
      std::swap(count_, other.count_);
      return *this;
    }
    ~Place() {
      if (count_ != nullptr) count_->fetch_sub(1, std::memory_order_relaxed);
    }

    /// From now on its owner knows by itself, and calls `end_session`; false if it was empty.
    [[nodiscard]] bool give_up() noexcept { return std::exchange(count_, nullptr) != nullptr; }

   private:
    friend class Circuit;
    explicit Place(std::atomic<std::uint64_t>& count) noexcept : count_(&count) {}
    std::atomic<std::uint64_t>* count_ = nullptr;
  };

  void set_limits(std::uint64_t most_sessions, std::uint32_t most_pending) noexcept;  ///< 0 = none

  /// A new session's; nothing when there are max_sessions: counted as a break.
  [[nodiscard]] std::optional<Place> begin_session() noexcept;
  /// One that comes here from another upstream: never refused.
  [[nodiscard]] Place take_session() noexcept;
  void end_session() noexcept { sessions_.fetch_sub(1, std::memory_order_relaxed); }
  /// A dial's; nothing when there are max_pending.
  [[nodiscard]] std::optional<Place> begin_dial() noexcept;

  void count(Break which) noexcept {
    breaks_[static_cast<std::size_t>(which)].fetch_add(1, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t breaks(Break which) const noexcept {
    return breaks_[static_cast<std::size_t>(which)].load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t sessions() const noexcept { return sessions_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t pending() const noexcept { return pending_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t most_sessions() const noexcept {
    return most_sessions_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t most_pending() const noexcept {
    return most_pending_.load(std::memory_order_relaxed);
  }

 private:
  static std::optional<Place> take(std::atomic<std::uint64_t>& count, std::uint64_t most) noexcept;

  std::atomic<std::uint64_t> most_sessions_{0};
  std::atomic<std::uint64_t> most_pending_{0};
  std::atomic<std::uint64_t> sessions_{0};
  std::atomic<std::uint64_t> pending_{0};
  std::array<std::atomic<std::uint64_t>, break_count> breaks_{};
};

}  // namespace holdfast::upstream
