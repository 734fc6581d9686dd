#include "frontend/seating.hpp"

#include <algorithm>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "frontend/hash_key.hpp"

namespace holdfast::frontend {

namespace asio = boost::asio;
using upstream::QueueResult;
using upstream::StickyResult;

namespace {

// Wakes a handshake that waits. The timer is the waiting thread's own.
struct Bell {
  explicit Bell(asio::io_context& on) : io(on), timer(on) {}
  asio::io_context& io;
  asio::steady_timer timer;
  std::atomic<bool> rung{false};  ///< word is under way: no need to send more
};

// Called by whoever gives a seat back, mostly a pump thread.
class Ringer final : public upstream::Queue::Waiter {
 public:
  explicit Ringer(const std::shared_ptr<Bell>& bell) : bell_(bell) {}
  void wake() noexcept override {
    if (bell_->rung.exchange(true)) return;
    // The bell may be gone before the word arrives, the io_context not: it is what carries the word.
    asio::post(bell_->io, [weak = std::weak_ptr(bell_)] {
      const auto bell = weak.lock();
      if (bell == nullptr) return;
      bell->rung.store(false);
      bell->timer.cancel();
    });
  }

 private:
  std::shared_ptr<Bell> bell_;
};

Seated::Why why_of(QueueResult result) {
  if (result == QueueResult::full) return Seated::Why::full;
  return result == QueueResult::gone ? Seated::Why::client_is_gone : Seated::Why::waited;
}

Seated without(upstream::Queue& queue, QueueResult result) {
  queue.count(result);
  return {std::nullopt, nullptr, why_of(result), false};
}

// The same upstream in the present snapshot: a reload may have brought backends that have room. One that
// wants to be told something else in front of the request is none for a request that was made before.
std::shared_ptr<const dial::Destination> latest(const SetupThread& thread,
                                                const std::shared_ptr<const dial::Destination>& before) {
  for (const auto& each : thread.surroundings().present->get()->destinations) {
    const bool same = each->settings.name == before->settings.name &&
                      each->settings.proxy_protocol == before->settings.proxy_protocol;
    if (same) return each;
  }
  return before;
}

}  // namespace

Seated take_seat(const dial::Destination& destination, std::optional<std::size_t> preferred,
                 std::optional<std::uint64_t> hash_key) {
  upstream::UpstreamState& state = destination.upstream->state();
  const bool has_queue = destination.settings.queue.length != 0;
  Seated seated;
  if (preferred) {
    seated.seat = destination.upstream->take(*preferred);
    state.count(seated.seat ? StickyResult::honoured : StickyResult::yielded);
    if (seated.seat) return seated;
  }
  // Who comes now must not overtake those that wait.
  const bool others_first =
      has_queue && (state.queue().size() != 0 || state.reroutes_first_until() > Clock::now());
  if (!others_first) seated.seat = destination.upstream->pick({{}, hash_key});
  if (seated.seat) return seated;
  const bool somebody = destination.upstream->has_eligible() || destination.upstream->panics();
  seated.why = somebody ? Seated::Why::full : Seated::Why::nobody;
  seated.may_wait = somebody && has_queue;
  return seated;
}

asio::awaitable<Seated> wait_for_seat(SetupThread& thread,
                                      std::shared_ptr<const dial::Destination> destination,
                                      std::optional<std::uint64_t> hash_key, TimePoint deadline,
                                      Watch& watch) {
  upstream::UpstreamState& state = destination->upstream->state();
  upstream::Queue& queue = state.queue();
  const config::Queue rules = destination->settings.queue;
  const upstream::Wish wish{{}, hash_key};
  Seated seated;
  const auto bell = std::make_shared<Bell>(thread.io());
  watch.wakes(std::shared_ptr<asio::steady_timer>(bell, &bell->timer));
  Ringer ringer(bell);
  upstream::Queue::Place place(queue, ringer, rules.length);
  if (!place) co_return without(queue, QueueResult::full);
  const TimePoint end = std::min(deadline, Clock::now() + rules.timeout);
  for (;;) {
    const TimePoint now = Clock::now();
    const TimePoint reroutes_first_until = state.reroutes_first_until();
    const bool stands_back = reroutes_first_until > now;
    seated.destination = latest(thread, destination);
    if (place.is_first() && !stands_back) seated.seat = seated.destination->upstream->pick(wish);
    if (seated.seat) {
      queue.count(QueueResult::served);
      co_return seated;
    }
    if (watch.give_up().requested()) co_return without(queue, QueueResult::gone);
    if (now >= end) co_return without(queue, QueueResult::timeout);
    bell->timer.expires_at(stands_back ? std::min(end, reroutes_first_until) : end);
    auto rung = co_await bell->timer.async_wait(asio::as_tuple(asio::use_awaitable));
    (void)rung;  // whatever woke it: it looks at everything anew
  }
}

std::optional<std::size_t> member_of_cookie(const dial::Destination& destination,
                                            const ws::RequestHead& head) {
  const upstream::Sticky* sticky = destination.sticky.get();
  if (sticky == nullptr) return std::nullopt;
  upstream::UpstreamState& state = destination.upstream->state();
  const auto now = std::chrono::system_clock::now();
  std::optional<StickyResult> result;
  for (std::string_view rest : head.values("Cookie")) {
    // Browsers send several of one name when there are several domains or paths.
    while (const auto value = next_cookie(rest, destination.settings.sticky->cookie)) {
      const auto ticket = sticky->read(*value, now);
      if (!ticket) {
        result = result.value_or(StickyResult::invalid);
        continue;
      }
      const auto went_to = state.moved().find(ticket->session);
      const auto member = went_to ? sticky->member_of(*went_to) : ticket->member;
      if (member) return member;
      result = StickyResult::yielded;
    }
  }
  if (result) state.count(*result);
  return std::nullopt;
}

std::optional<ws::ExtraField> sticky_field(const dial::Destination& destination,
                                           const upstream::Backend& backend, const session::SessionId& id) {
  const upstream::Sticky* sticky = destination.sticky.get();
  const auto member = sticky == nullptr ? std::nullopt : sticky->member_of(backend.address());
  if (!member) return std::nullopt;
  const config::Sticky& rules = *destination.settings.sticky;
  const auto ttl = std::chrono::duration_cast<std::chrono::seconds>(rules.ttl);
  std::string value = rules.cookie + "=";
  value += sticky->issue(*member, sticky->session_of(id.bytes), std::chrono::system_clock::now(), ttl);
  value += "; Path=/";
  if (ttl.count() != 0) value += "; Max-Age=" + std::to_string(ttl.count());
  value += "; Secure; HttpOnly; SameSite=";
  switch (rules.same_site) {
    case config::SameSite::strict:
      value += "Strict";
      break;
    case config::SameSite::lax:
      value += "Lax";
      break;
    case config::SameSite::none:
      value += "None";
      break;
  }
  return ws::ExtraField{"Set-Cookie", std::move(value)};
}

}  // namespace holdfast::frontend
