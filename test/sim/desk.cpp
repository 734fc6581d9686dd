// The setup plane and the operator of a run: who answers attempts, who orders moves and ends.

#include <algorithm>

#include "sim/world.hpp"

namespace holdfast::sim {

using session::Attempt;
using session::AttemptReply;
using session::AttemptResult;

void World::asked(std::unique_ptr<Attempt> attempt) {
  if (latest_withdrawn_ != nullptr && !latest_withdrawn_->load()) verdict_.broken("two attempts at once");
  if (!facts_.continuable) verdict_.broken("an attempt of a session that can't go on");
  if (attempt->number <= latest_number_) verdict_.broken("an attempt with an old number");
  if (attempt->continuation->request() != continuation_->request())
    verdict_.broken("an attempt with another head");
  if (facts_.reason != Reason::none) verdict_.broken("an attempt after the end");
  latest_number_ = attempt->number;
  latest_withdrawn_ = attempt->withdrawn;
  ++facts_.asked;
  const std::size_t kind = random_.below(10);
  const std::size_t wait = kind < 3 ? 0 : kind < 9 ? random_.between(1, 30) : random_.between(30, 2'000);
  if (log_ != nullptr)
    std::fprintf(log_, "      asks %u, cause %s\n", attempt->number, holdfast::text(attempt->cause));
  pending_.push_back({std::move(attempt), now_ + static_cast<Tick>(wait)});
}

void World::answer_due() {
  for (std::size_t n = 0; n < pending_.size();) {
    if (static_cast<std::int32_t>(pending_[n].due - now_) > 0) {
      ++n;
      continue;
    }
    const Pending ready = std::move(pending_[n]);
    pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(n));
    if (ready.attempt->withdrawn->load()) {
      coverage_.met(Kind::withdrawn);
      if (random_.chance(50)) continue;
      coverage_.met(Kind::stale_reply);
    } else {
      latest_withdrawn_.reset();
    }
    answer(*ready.attempt);
  }
}

std::shared_ptr<upstream::Backend> World::pick(const Attempt& attempt) {
  std::vector<std::shared_ptr<upstream::Backend>> free;
  for (const auto& home : homes_) {
    const bool excluded = std::ranges::find(attempt.exclude, home.get()) != attempt.exclude.end();
    if (home->eligible() && home->is_member() && !excluded) free.push_back(home);
  }
  return free.empty() ? nullptr : free[random_.below(free.size())];
}

void World::answer(const Attempt& attempt) {
  auto reply = std::make_unique<AttemptReply>();
  reply->session = attempt.session;
  reply->number = attempt.number;
  const auto home = pick(attempt);
  if (home == nullptr) {
    reply->result = AttemptResult::nobody;
  } else if (attempt.looks_only) {
    reply->result = random_.chance(plan_.failures) ? AttemptResult::nobody : AttemptResult::ready;
  } else if (random_.chance(plan_.failures)) {
    constexpr AttemptResult failures[] = {AttemptResult::nobody, AttemptResult::no_way, AttemptResult::no_way,
                                          AttemptResult::misfit};
    reply->result = failures[random_.below(4)];
    if (random_.chance(plan_.refusals))
      reply->result = random_.chance(80) ? AttemptResult::refused : AttemptResult::gone;
    if (reply->result != AttemptResult::nobody && reply->result != AttemptResult::gone)
      reply->tried = home.get();
  } else {
    if (random_.chance(2)) send_ready(attempt, attempt.number - 1);  // as if it had been on its way
    return send_ready(attempt, attempt.number);
  }
  facts_.refused = facts_.refused || reply->result == AttemptResult::refused;
  facts_.upstream_gone = facts_.upstream_gone || reply->result == AttemptResult::gone;
  if (reply->result == AttemptResult::misfit) ++facts_.misfits;
  if (log_ != nullptr)
    std::fprintf(log_, "      answer %u: result %d\n", attempt.number, static_cast<int>(reply->result));
  stage_.shard.send(std::move(reply));
}

void World::send_ready(const Attempt& attempt, std::uint32_t number) {
  auto home = pick(attempt);
  Backend& leg = add_leg(home);
  auto reply = std::make_unique<AttemptReply>();
  reply->session = attempt.session;
  reply->number = number;
  reply->result = AttemptResult::ready;
  reply->leg = leg.connection.make_leg();
  leg.unwanted = number != attempt.number || attempt.withdrawn->load();
  reply->seat = upstream::Seat::take(home);
  reply->tried = home.get();
  reply->early = leg.early();
  if (!reply->early.empty()) coverage_.met(Kind::early_bytes);
  ++facts_.ready;
  if (log_ != nullptr)
    std::fprintf(log_, "      answer %u: %s at %s, %zu early\n", number, leg.connection.name().c_str(),
                 home->address().c_str(), reply->early.size());
  stage_.shard.send(std::move(reply));
}

// --- the operator ---

void World::order() {
  // Most of the time something is put right, so that there is a place to go to.
  if (random_.chance(40)) {
    const auto& home = homes_[random_.below(homes)];
    home->set_admin_state(upstream::AdminState::active);
    home->set_health(upstream::Health::healthy);
    home->set_member(true);
    return;
  }
  constexpr Cause polite[] = {Cause::draining, Cause::removed, Cause::rebalance, Cause::requested};
  constexpr Cause rude[] = {Cause::unhealthy, Cause::disabled};
  const bool is_rude = plan_.story != Story::planned && random_.chance(40);
  const Cause cause = is_rude ? rude[random_.below(2)] : polite[random_.below(4)];
  set_state(cause);
  // The word may not come: the session looks itself when it attaches.
  if (random_.chance(80)) order_move(cause);
}

void World::set_state(Cause cause) {
  Backend* leg = newest_leg();
  const auto& home = random_.chance(80) && leg != nullptr ? leg->home : homes_[random_.below(homes)];
  if (cause == Cause::draining) home->set_admin_state(upstream::AdminState::draining);
  if (cause == Cause::removed) home->set_member(false);
  if (cause == Cause::disabled) home->set_admin_state(upstream::AdminState::disabled);
  if (cause == Cause::unhealthy) home->set_health(upstream::Health::unhealthy);
}

void World::order_move(Cause cause) {
  if (log_ != nullptr) std::fprintf(log_, "      order: move, %s\n", holdfast::text(cause));
  if (cause == Cause::requested) {
    auto wish = std::make_unique<session::SessionOrder>();
    wish->id.bytes[0] = 1;
    wish->what = session::SessionOrder::What::move;
    stage_.shard.send(std::move(wish));
    return;
  }
  Backend* leg = newest_leg();
  if (leg == nullptr) return;
  stage_.shard.send(std::make_unique<session::MoveSessions>(session::MoveSessions::Backends{leg->home}, cause,
                                                            random_.below(3)));
}

void World::do_exit(Exit how) {
  if (log_ != nullptr) std::fprintf(log_, "      exit %d\n", static_cast<int>(how));
  switch (how) {
    case Exit::backend_close:
      if (Backend* leg = newest_leg()) leg->wish_close();
      return;
    case Exit::drain:
      return end_by(Reason::drain);
    case Exit::upstream_gone:
      return end_by(Reason::upstream_gone);
    case Exit::operator_close:
      return end_by(Reason::closed_by_operator);
    case Exit::cut:
      facts_.cut = true;
      stage_.shard.send(std::make_unique<session::CutSessions>());
      return;
    case Exit::client_close:
    case Exit::client_fin:
    case Exit::client_reset:
    case Exit::client_silence:
      return client_.leave(how);
  }
}

void World::end_by(Reason reason) {
  const Milliseconds spread(random_.chance(50) ? 0 : random_.below(500));
  if (reason == Reason::drain) {
    facts_.drained = true;
    stage_.shard.send(std::make_unique<session::EndSessions>(reason, spread));
  } else if (reason == Reason::upstream_gone) {
    facts_.gone = true;
    upstream_->set_present(false);
    stage_.shard.send(std::make_unique<session::UpstreamsGone>(spread));
  } else {
    facts_.told_to_close = true;
    auto wish = std::make_unique<session::SessionOrder>();
    wish->id.bytes[0] = 1;
    stage_.shard.send(std::move(wish));
  }
}

// --- what the session tells ---

void World::recorded(const session::AccessRecord& record) {
  ++facts_.records;
  facts_.reason = record.reason;
  facts_.code = record.close_code;
  coverage_.ended(record.reason);
  if (log_ != nullptr)
    std::fprintf(log_, "      ended: %s, %u\n", holdfast::text(record.reason), facts_.code);
}

void World::rerouted(const session::RerouteRecord& record) {
  coverage_.rerouted(record.cause, record.result);
  const bool is_lost = record.cause == Cause::lost || record.cause == Cause::closing;
  if (is_lost) {
    facts_.planned_only = false;
    ++facts_.causes_lost;
  }
  if (record.result == RerouteResult::attached) ++facts_.attached;
  if (record.result == RerouteResult::attached && is_lost && record.attempts == 1)
    coverage_.met(Kind::attached_at_once);
  if (record.result == RerouteResult::attached && is_lost && record.attempts > 1)
    coverage_.met(Kind::held_long);
  if (record.result == RerouteResult::attached && !is_lost)
    coverage_.met(plan_.route.reroute.move == config::MoveOrder::make_first ? Kind::moved_make_first
                                                                            : Kind::moved_break_first);
  if (record.result == RerouteResult::stayed) coverage_.met(Kind::move_stayed);
  if (record.result == RerouteResult::gone && is_lost && client_.close_arrived())
    coverage_.met(Kind::closed_while_held);
  if (record.result == RerouteResult::no_backend)
    facts_.longest_failed_hold_ms =
        std::max(facts_.longest_failed_hold_ms, static_cast<std::uint32_t>(record.pause.count()));
  if (log_ != nullptr)
    std::fprintf(
        log_,
        "      reroute: %s, %s, %u attempts, %lld ms, resent %llu, undelivered %llu, unconfirmed %llu\n",
        holdfast::text(record.cause), holdfast::text(record.result), record.attempts,
        static_cast<long long>(record.pause.count()), static_cast<unsigned long long>(record.resent),
        static_cast<unsigned long long>(record.undelivered),
        static_cast<unsigned long long>(record.unconfirmed));
}

}  // namespace holdfast::sim
