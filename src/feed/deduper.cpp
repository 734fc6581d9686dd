#include "feed/deduper.hpp"

#include <algorithm>
#include <chrono>

namespace holdfast::feed {

namespace {

// No connection is later than the others by more than this.
constexpr std::chrono::seconds longest_delay{10};

std::int64_t second_of(TimePoint when) noexcept {
  return std::chrono::duration_cast<std::chrono::seconds>(when.time_since_epoch()).count();
}

}  // namespace

void Deduper::age(Entry& entry, TimePoint now) noexcept {
  const std::int64_t second = second_of(now);
  if (second == entry.second) return;
  const bool is_next = second == entry.second + 1;
  entry.earlier += entry.last_second + (is_next ? 0 : entry.this_second);
  entry.last_second = is_next ? entry.this_second : 0;
  entry.this_second = 0;
  entry.second = second;
}

void Deduper::begin(std::size_t slot, TimePoint now) {
  catches_up_[slot] = true;
  for (auto& [hash, entry] : entries_) {
    age(entry, now);
    entry.seen[slot] = entry.earlier;
  }
}

bool Deduper::is_first(std::size_t slot, std::uint64_t hash, TimePoint now) {
  forget_old(now);
  const auto [found, is_new] = entries_.try_emplace(hash);
  Entry& entry = found->second;
  if (is_new) entry.second = second_of(now);
  age(entry, now);
  entry.last = now;
  if (++entry.seen[slot] <= entry.delivered) return false;
  entry.delivered = entry.seen[slot];
  ++entry.this_second;
  if (catches_up_[slot]) settle(slot);
  return true;
}

// Connections bring the same in the same order: who is the first with something has had what was before it.
void Deduper::settle(std::size_t slot) {
  catches_up_[slot] = false;
  for (auto& [hash, entry] : entries_) entry.seen[slot] = entry.delivered;
}

void Deduper::forget_old(TimePoint now) {
  if (now - looked_at_ < longest_delay / 4) return;
  looked_at_ = now;
  std::erase_if(entries_, [&](const auto& each) { return now - each.second.last > longest_delay; });
}

}  // namespace holdfast::feed
