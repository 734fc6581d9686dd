#include "holdfast/upstream/circuit.hpp"

namespace holdfast::upstream {

std::string_view Circuit::text(Break which) noexcept {
  constexpr std::array<std::string_view, break_count> words{"sessions", "pending", "retries"};
  return words[static_cast<std::size_t>(which)];
}

void Circuit::set_limits(std::uint64_t most_sessions, std::uint32_t most_pending) noexcept {
  most_sessions_.store(most_sessions, std::memory_order_relaxed);
  most_pending_.store(most_pending, std::memory_order_relaxed);
}

// Counted also without a limit: a reload may bring one.
std::optional<Circuit::Place> Circuit::take(std::atomic<std::uint64_t>& count, std::uint64_t most) noexcept {
  std::uint64_t present = count.load(std::memory_order_relaxed);
  do {
    if (most != 0 && present >= most) return std::nullopt;
  } while (!count.compare_exchange_weak(present, present + 1, std::memory_order_relaxed));
  return Place(count);
}

std::optional<Circuit::Place> Circuit::begin_session() noexcept {
  auto place = take(sessions_, most_sessions());
  if (!place) count(Break::sessions);
  return place;
}

Circuit::Place Circuit::take_session() noexcept {
  return *take(sessions_, 0);
}

std::optional<Circuit::Place> Circuit::begin_dial() noexcept {
  return take(pending_, most_pending());
}

}  // namespace holdfast::upstream
