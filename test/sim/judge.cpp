#include "sim/judge.hpp"

#include <algorithm>

#include "sim/judge_run.hpp"

namespace holdfast::sim {

// Promise 2: at most once whole, or twice with `unanswered`; the preamble goes to every leg.
void Judge::judge_doubled() {
  const unsigned most = reroute_.resend_unanswered == 0 ? 1 : 2;
  for (std::size_t n = reroute_.preamble; n < whole_at_.size(); ++n) {
    if (whole_at_[n] > most)
      verdict_.broken("message " + number(n) + " is whole at " + number(whole_at_[n]) + " legs");
    if (whole_at_[n] > 1) coverage_.met(Kind::doubled);
  }
}

// Promise 7: whoever gets a later message got the first ones before it, as many as fit into hold_bytes. One
// that was cut is none of them, nor are those behind it. With hold_memory spent they are not kept.
void Judge::judge_preamble() {
  if (undelivered_ != 0 || plan_.hold_memory < (1U << 20U)) return;
  std::size_t kept = 0;
  for (std::uint64_t bytes = 0; kept < std::min<std::size_t>(reroute_.preamble, client_.said.size());
       ++kept) {
    bytes += client_.said[kept].end - client_.said[kept].begin;
    if (bytes > reroute_.hold_bytes) break;
  }
  for (const auto& leg : legs_) {
    const auto& got = leg->received;
    if (got.empty() || got.back() < reroute_.preamble) continue;
    for (std::size_t n = 0; leg->id() > 1 && n < kept; ++n) {
      if (n >= got.size() || got[n] != n)
        verdict_.broken(leg->connection.name() + " got no message " + number(n) + " of the preamble");
    }
  }
}

// What was passed over and not delivered is counted, and what is counted as undelivered was not delivered.
void Judge::judge_lost() {
  std::uint64_t passed_over = 0;
  std::uint64_t missing = 0;
  std::size_t highest = 0;
  std::string first;
  for (std::size_t n = 0; n < whole_at_.size(); ++n) {
    if (whole_at_[n] != 0) highest = n;
  }
  for (std::size_t n = 0; n < whole_at_.size(); ++n) {
    if (whole_at_[n] != 0) continue;
    if (n < highest && !followed_[n]) ++passed_over;
    if (client_.said[n].begin < client_.connection.got_by_proxy()) ++missing;
  }
  if (client_.message_open()) ++missing;
  const bool can_be_told = !any_leg([](const Backend& leg) { return leg.looks_polite(); });
  if (can_be_told && passed_over > undelivered_ + unconfirmed_) {
    std::size_t n = 0;
    while (whole_at_[n] != 0 || followed_[n]) ++n;
    first = ", first message " + number(n);
    verdict_.broken(number(passed_over) + " messages are lost, counted are " + number(undelivered_) +
                    " undelivered and " + number(unconfirmed_) + " unconfirmed" + first);
  }
  // What the preamble brings again is none of them, but it counts.
  missing += reroute_.preamble;
  if (undelivered_ > missing)
    verdict_.broken(number(undelivered_) + " messages count as undelivered, " + number(missing) +
                    " are missing");
}

// The client's Close has come to the last leg: so has everything that it had said before, or it is counted.
void Judge::judge_clean_end() {
  const Backend* last = nullptr;
  for (const auto& leg : legs_) {
    if (leg->client_close_seen()) last = leg.get();
  }
  if (last == nullptr || facts_.reason != Reason::client_closed) return;
  coverage_.met(Kind::clean_end);
  std::uint64_t missing = 0;
  for (std::size_t n = 0; n < whole_at_.size(); ++n) {
    if (whole_at_[n] == 0 && !followed_[n]) ++missing;
  }
  const bool can_be_told = !any_leg([](const Backend& leg) { return leg.looks_polite(); });
  if (can_be_told && missing > undelivered_ + unconfirmed_)
    verdict_.broken(number(missing) + " messages are missing at a clean end, counted are " +
                    number(undelivered_) + " undelivered and " + number(unconfirmed_) + " unconfirmed");
  if (plan_.story == Story::planned) judge_exactly_once();
}

// Moves only, of backends that answer a Close.
void Judge::judge_exactly_once() {
  // A backend that has answered its Close need not have answered the messages before.
  std::uint64_t unanswered = 0;
  for (const auto& leg : legs_) unanswered += leg->taken.size() - leg->surely_followed;
  if (undelivered_ != 0 || unconfirmed_ > unanswered)
    verdict_.broken("moves alone: " + number(undelivered_) + " undelivered, " + number(unconfirmed_) +
                    " unconfirmed");
  for (std::size_t n = 0; n < whole_at_.size(); ++n) {
    if (whole_at_[n] != 1 && n >= reroute_.preamble)
      verdict_.broken("moves alone: message " + number(n) + " came " + number(whole_at_[n]) + " times");
  }
  unsigned first_used = 0;
  for (const auto& leg : legs_) {
    if (!leg->adopted) continue;
    const Client::Heard heard = client_.heard_from(leg->id());
    // A leg that was ready for a move that was called off says nothing to the client.
    if (leg->id() != 1 && leg->received.empty() && !leg->client_close_seen()) continue;
    const std::size_t swallowed = leg->id() == 1 || reroute_.preamble == 0 ? 0 : reroute_.preamble_answers;
    const bool all =
        heard.first + heard.count == leg->said.size() || (heard.count == 0 && leg->said.size() <= swallowed);
    if (!all)
      verdict_.broken("moves alone: the client got " + number(heard.count) + " of " +
                      number(leg->said.size()) + " messages of " + leg->connection.name());
    ++first_used;
  }
  if (first_used > 1) coverage_.met(Kind::exactly_once);
}

void Judge::cover() {
  const auto meet = [this](Kind kind, bool met) {
    if (met) coverage_.met(kind);
  };
  meet(Kind::paused, pauses_ != 0);
  for (const auto& leg : legs_) {
    if (!leg->adopted) continue;
    meet(Kind::killed_by_fin, leg->died_of() == Death::fin);
    meet(Kind::killed_by_reset, leg->died_of() == Death::reset);
    meet(Kind::hung, leg->died_of() == Death::hang);
    meet(Kind::host_gone, leg->died_of() == Death::host_gone);
    meet(Kind::said_it_goes, leg->died_of() == Death::close_going);
    meet(Kind::broke_the_rules, leg->died_of() == Death::violation);
    meet(Kind::cut_by_offset, leg->died_of() == Death::reset && leg->reader().in_frame());
  }
  meet(Kind::several_reroutes, facts_.attached >= 2);
  meet(Kind::resent, resent_ != 0);
  meet(Kind::undelivered, undelivered_ != 0);
  meet(Kind::unconfirmed, unconfirmed_ != 0);
  const std::size_t preamble = std::min<std::size_t>(reroute_.preamble, whole_at_.size());
  meet(Kind::preamble_again,
       std::any_of(whole_at_.begin(), whole_at_.begin() + static_cast<std::ptrdiff_t>(preamble),
                   [](unsigned times) { return times > 1; }));
}

void judge_giving_up(const Plan& plan, const Legs& legs, Verdict& verdict) {
  if (plan.route.reroute.move == config::MoveOrder::break_first) return;
  const Backend* newest = nullptr;
  bool another = false;
  for (const auto& leg : legs) {
    if (!leg->adopted) continue;
    another = another || (newest != nullptr && !newest->proxy_close_seen() && newest->is_running());
    newest = leg.get();
  }
  // A leg that was ready for a move that was called off has got nothing but its Close.
  if (newest == nullptr || another || newest->received.empty()) return;
  if (newest->proxy_close_seen() && newest->is_running() && !newest->close_sent())
    verdict.broken(newest->connection.name() + " works and was given up, but there is no other");
}

void judge_end(const Plan& plan, const Client& client, const Legs& legs, const Facts& facts,
               const metrics::RouteCells& cells, Verdict& verdict, Coverage& coverage) {
  Judge(plan, client, legs, facts, cells, verdict, coverage).look();
}

}  // namespace holdfast::sim
