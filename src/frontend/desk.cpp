#include "frontend/desk.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <exception>
#include <optional>
#include <utility>

#include "frontend/hash_key.hpp"

namespace holdfast::frontend {

namespace asio = boost::asio;
using session::Attempt;
using session::AttemptResult;

namespace {

// New handshakes of this thread get their turn after so many.
constexpr int most_per_turn = 64;
// How far the line is searched for somebody who can go on; most of those who wait are passed by one
// comparison.
constexpr std::size_t most_overtaken = 1024;
// Places for dials that other setup threads give back are only found by looking.
constexpr std::chrono::milliseconds look_again{10};

bool is_withdrawn(const Attempt& attempt) {
  return attempt.withdrawn != nullptr && attempt.withdrawn->load(std::memory_order_relaxed);
}

void send(const Attempt& attempt, std::unique_ptr<session::AttemptReply> reply) {
  if (!is_withdrawn(attempt)) attempt.shard->send(std::move(reply));
}

void answer(const Attempt& attempt, AttemptResult result, std::string what) {
  send(attempt, reply_to(attempt, result, std::move(what)));
}

/// Where the present snapshot would send this session; the destination is null when nowhere.
struct Goal {
  std::shared_ptr<const dial::Destination> destination;
  std::shared_ptr<const config::Reroute> reroute;
};

Goal goal_of(const Serving& serving, const Attempt& attempt) {
  const auto route = std::ranges::find(serving.routes, attempt.route, &RouteEntry::state);
  if (route != serving.routes.end()) return {route->destination, route->reroute};
  for (const auto& destination : serving.destinations) {
    if (destination->upstream->name() == attempt.upstream) return {destination, nullptr};
  }
  return {};
}

upstream::Wish wish_of(const Attempt& attempt) {
  const bool evens_out = occasion(attempt.cause) == Occasion::rebalance;
  return {attempt.exclude, attempt.hash_key,
          evens_out ? balance::Purpose::even_out : balance::Purpose::needs_place};
}

std::string nobody_in(const upstream::Upstream& upstream) {
  return "no eligible backend in upstream " + upstream.name();
}

}  // namespace

void Desk::take(std::unique_ptr<Attempt> attempt) {
  const Goal goal = goal_of(*thread_.surroundings().present->get(), *attempt);
  if (goal.destination == nullptr) {
    answer(*attempt, AttemptResult::gone, "upstream " + attempt->upstream + " is gone");
    return;
  }
  if (attempt->continuation != nullptr)
    attempt->hash_key = hash_key(goal.destination->settings.policy, *attempt->continuation);
  Line& line = lines_.try_emplace(goal.destination->upstream->name(), thread_.io()).first->second;
  line.waiting.push_back(std::move(attempt));
  wake(line, Clock::now());
}

void Desk::wake(Line& line, TimePoint when) {
  if (line.state == Line::Timer::set && line.timer.expiry() <= when) return;
  line.state = Line::Timer::set;
  line.timer.expires_at(when);
  line.timer.async_wait([this, &line](const boost::system::error_code& error) {
    if (error) return;
    line.state = Line::Timer::idle;
    serve(line);
  });
}

void Desk::serve(Line& line) {
  const auto serving = thread_.surroundings().present->get();
  // Whom those with these exceptions (and this key) would get is busy.
  std::optional<std::pair<decltype(Attempt::exclude), decltype(Attempt::hash_key)>> busy_but;
  std::size_t place = 0;
  int dialled = 0;
  while (place < std::min(line.waiting.size(), most_overtaken)) {
    auto& attempt = line.waiting[place];
    const std::pair wishes(attempt->exclude, attempt->hash_key);
    if (busy_but == wishes) {
      ++place;
      continue;
    }
    const Fate fate = look_at(line, *serving, attempt);
    if (fate == Fate::paced) return;
    if (fate == Fate::slowed) {
      ++place;
      continue;
    }
    if (fate == Fate::waits) {
      busy_but = wishes;
      ++place;
      continue;
    }
    line.waiting.erase(line.waiting.begin() + static_cast<std::ptrdiff_t>(place));
    if (fate == Fate::dialled && ++dialled == most_per_turn) break;
  }
  if (dialled == most_per_turn) {
    wake(line, Clock::now());
  } else if (!line.waiting.empty()) {
    wake(line, Clock::now() + look_again);
  }
}

Desk::Fate Desk::look_at(Line& line, const Serving& serving, std::unique_ptr<Attempt>& attempt) {
  if (is_withdrawn(*attempt)) return Fate::over;
  const TimePoint now = Clock::now();
  if (now >= attempt->deadline) {
    answer(*attempt, AttemptResult::nobody, "it was not its turn before its deadline");
    return Fate::over;
  }
  Goal goal = goal_of(serving, *attempt);
  if (goal.destination == nullptr) {
    answer(*attempt, AttemptResult::gone, "upstream " + attempt->upstream + " is gone");
    return Fate::over;
  }
  const upstream::Upstream& upstream = *goal.destination->upstream;
  if (attempt->looks_only) {
    const bool found = upstream.has_place(wish_of(*attempt));
    answer(*attempt, found ? AttemptResult::ready : AttemptResult::nobody, nobody_in(upstream));
    return Fate::over;
  }
  // The upstream as a whole: who is lost is held meanwhile, a planned move stays where it is.
  auto pending = upstream.state().circuit().begin_dial();
  if (!pending) {
    wake(line, now + look_again);
    return Fate::paced;
  }
  if (attempt->retry > 0 && upstream.state().retries().is_exhausted(now) &&
      upstream.state().slow_pace().take(now) > Milliseconds(0))
    return Fate::slowed;
  if (line.token == Line::Token::none) {
    const Milliseconds wait = upstream.state().reroute_pace().take(now);
    if (wait > Milliseconds(0)) {
      wake(line, now + wait);
      return Fate::paced;
    }
    line.token = Line::Token::in_hand;
  }
  auto found = upstream.pick_for_reroute(wish_of(*attempt), now, attempt->cause);
  if (!found.dialling && found.busy == upstream::Upstream::Busy::yes) return Fate::waits;
  if (!found.dialling) {
    if (occasion(attempt->cause) == Occasion::lost) upstream.state().reroute_found_no_place(now);
    answer(*attempt, AttemptResult::nobody, nobody_in(upstream));
    return Fate::over;
  }
  line.token = Line::Token::none;
  if (attempt->retry == 0) upstream.state().retries().first_try(now);
  Way way{std::move(attempt),     std::move(goal.destination), std::move(goal.reroute),
          *std::move(found.seat), *std::move(found.dialling),  *std::move(pending)};
  begin(line, std::move(way));
  return Fate::dialled;
}

void Desk::begin(Line& line, Way way) {
  const auto attempt = way.attempt;
  const auto done = [this, &line, attempt](const std::exception_ptr& problem,
                                           std::unique_ptr<session::AttemptReply> reply) {
    if (problem != nullptr)
      reply = reply_to(*attempt, AttemptResult::no_way, "out of memory or epoll watches");
    send(*attempt, std::move(reply));
    if (!line.waiting.empty()) wake(line, Clock::now());
  };
  try {
    asio::co_spawn(thread_.io(), reattach(thread_, std::move(way)), done);
  } catch (const std::exception& problem) {
    answer(*attempt, AttemptResult::no_way, problem.what());
  }
}

}  // namespace holdfast::frontend
