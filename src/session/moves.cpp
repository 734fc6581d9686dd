#include "session/moves.hpp"

#include <algorithm>

#include "session/session.hpp"

namespace holdfast::session {

namespace {
constexpr std::uint32_t look_again_ms = 16;
constexpr int most_at_once = 64;  ///< the messages of others don't wait behind a whole backend's sessions

// The old leg is suspect or about to go: these wait neither for the pace of planned moves nor for a place.
bool is_urgent(Cause cause) noexcept {
  return urgency(cause) >= 2;
}
}  // namespace

bool Moves::has_room() const noexcept {
  const Shard::Surroundings& around = shard_.surroundings();
  std::uint64_t most = most_under_way;
  if (around.budget != nullptr) {
    const std::uint64_t used = std::min(around.budget->used(), around.budget->usable());
    most = std::min<std::uint64_t>(most, (around.budget->usable() - used) / 4 + under_way_);
  }
  return under_way_ < std::max<std::uint64_t>(most / around.shards, 1);
}

void Moves::ended() noexcept {
  --under_way_;
  if (!queues_.empty()) shard_.loop().timers().arm(*this, shard_.loop().now());
}

Moves::Queue& Moves::queue_of(const std::shared_ptr<upstream::UpstreamState>& upstream, Tick now) {
  for (const auto& queue : queues_) {
    if (queue->upstream == upstream) return *queue;
  }
  queues_.push_back(std::make_unique<Queue>(Queue{upstream, {}, 1, now}));
  return *queues_.back();
}

void Moves::want(Handle session, const std::shared_ptr<upstream::UpstreamState>& upstream, Cause cause) {
  const Tick now = shard_.loop().now();
  auto& waiting = queue_of(upstream, now).waiting;
  if (is_urgent(cause)) {
    waiting.push_front({session, cause});
  } else {
    waiting.push_back({session, cause});
  }
  // Not from here: the caller may be in the middle of something.
  shard_.loop().timers().arm(*this, now);
}

void Moves::on_timer(Tick now) {
  run(now);
}

void Moves::run(Tick now) {
  bool more = false;
  for (std::size_t n = 0; n < queues_.size(); ++n) more = run(*queues_[n], now) || more;
  std::erase_if(queues_, [](const auto& queue) { return queue->waiting.empty(); });
  if (more) shard_.loop().timers().arm(*this, now + look_again_ms);
}

bool Moves::run(Queue& queue, Tick now) {
  const std::uint32_t rate = queue.upstream->move_rate.load(std::memory_order_relaxed);
  const double share = static_cast<double>(rate) / shard_.surroundings().shards;
  // At most a tenth of a second's worth at once: the point is an even pace.
  queue.tokens += share * elapsed_ms(queue.filled_at, now) / 1000;
  queue.tokens = std::min(queue.tokens, std::max(1.0, share / 10));
  queue.filled_at = now;
  for (int n = 0; n < most_at_once && !queue.waiting.empty(); ++n) {
    const Order order = queue.waiting.front();
    const bool urgent = is_urgent(order.cause);
    const bool paced = !urgent && rate != 0;
    if ((paced && queue.tokens < 1) || (!urgent && !has_room())) return true;
    queue.waiting.pop_front();
    Session* session = shard_.find(order.session);
    if (session == nullptr || !session->has_order(order.cause)) continue;  // it has a more urgent one
    if (session->move(order.cause) && paced) queue.tokens -= 1;
  }
  return !queue.waiting.empty();
}

}  // namespace holdfast::session
