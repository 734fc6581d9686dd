#include "sim/judge.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace holdfast::sim {

namespace {

std::string number(std::uint64_t value) {
  return std::to_string(value);
}

/// One run at its end.
class Judge {
 public:
  Judge(const Plan& plan, const Client& client, const Legs& legs, const Facts& facts,
        const metrics::RouteCells& cells, Verdict& verdict, Coverage& coverage)
      : plan_(plan),
        reroute_(plan.route.reroute),
        client_(client),
        legs_(legs),
        facts_(facts),
        verdict_(verdict),
        coverage_(coverage),
        undelivered_(cells.undelivered.value()),
        unconfirmed_(cells.unconfirmed.value()),
        resent_(cells.resent.value()) {
    whole_at_.resize(client_.said.size());
    followed_.resize(client_.said.size());
    for (const auto& leg : legs_) {
      for (const std::uint32_t each : leg->received) ++whole_at_[each];
      for (std::size_t n = 0; n < leg->followed; ++n) {
        if (leg->taken[n] < followed_.size()) followed_[leg->taken[n]] = true;
      }
    }
  }

  void look() {
    if (facts_.records != 1) verdict_.broken(number(facts_.records) + " access records");
    judge_reason();
    judge_client_end();
    judge_client_code();
    judge_doubled();
    judge_preamble();
    judge_lost();
    judge_clean_end();
    cover();
  }

 private:
  [[nodiscard]] bool any_leg(bool (*what)(const Backend&)) const {
    return std::ranges::any_of(legs_, [&](const auto& leg) { return what(*leg); });
  }
  [[nodiscard]] bool pings() const noexcept { return plan_.route.ping.interval.count() != 0; }
  [[nodiscard]] bool streams_by_shortage() const noexcept { return plan_.hold_memory < (1U << 20U); }
  void expect(bool explained) {
    if (!explained) verdict_.broken(std::string("nothing explains the end ") + text(facts_.reason));
  }
  void judge_reason();
  void judge_no_backend();
  [[nodiscard]] bool may_lose_a_leg() const;
  void judge_client_end();
  void judge_client_code();
  void judge_doubled();
  void judge_preamble();
  void judge_lost();
  void judge_clean_end();
  void judge_exactly_once();
  void cover();

  const Plan& plan_;
  const config::Reroute& reroute_;
  const Client& client_;
  const Legs& legs_;
  const Facts& facts_;
  Verdict& verdict_;
  Coverage& coverage_;
  std::uint64_t undelivered_;
  std::uint64_t unconfirmed_;
  std::uint64_t resent_;
  std::vector<unsigned> whole_at_;  ///< by message: how many legs got it
  std::vector<bool> followed_;      ///< by message: a backend's came behind it, so it need not be counted
};

bool Judge::may_lose_a_leg() const {
  return pings() || any_leg([](const Backend& leg) { return leg.died_of() != Death::none; }) ||
         plan_.story != Story::planned;
}

void Judge::judge_no_backend() {
  const bool held_out = facts_.longest_failed_hold_ms >= reroute_.hold.count();
  const bool spent = facts_.misfits + facts_.attached + 1 >= reroute_.attempts;
  expect(held_out || spent || facts_.upstream_gone);
}

void Judge::judge_reason() {
  switch (facts_.reason) {
    case Reason::client_closed:
      return expect(client_.close_arrived());
    case Reason::backend_closed:
      return expect(any_leg([](const Backend& leg) { return leg.close_arrived(); }));
    case Reason::backend_violation:
      return expect(any_leg([](const Backend& leg) { return leg.died_of() == Death::violation; }));
    case Reason::client_vanished:
      return expect(client_.has_vanished() || pings());
    case Reason::backend_lost:
      return expect(may_lose_a_leg() && (!facts_.continuable || reroute_.on.size() < occasion_count));
    case Reason::cut_mid_message:
      return expect(may_lose_a_leg() && (client_.reader().in_message() || !client_.close_seen()));
    case Reason::cut_mid_frame:
      return expect(may_lose_a_leg() && !client_.close_seen());
    case Reason::idle:
      return expect(plan_.route.idle_timeout.count() != 0);
    case Reason::max_age:
      return expect(plan_.route.max_age.count() != 0);
    case Reason::drain:
      return expect(facts_.drained || facts_.cut);
    case Reason::upstream_gone:
      return expect(facts_.gone);
    case Reason::closed_by_operator:
      return expect(facts_.told_to_close);
    case Reason::no_backend:
      return judge_no_backend();
    case Reason::reroute_refused:
      return expect(facts_.refused);
    case Reason::kills_backends:
      return expect(facts_.causes_lost >= 3);
    case Reason::none:
    case Reason::client_violation:
    case Reason::message_too_big:
    case Reason::internal:
      return expect(false);
  }
}

// Promise 3: a frame or a message that was cut was larger than hold_bytes.
void Judge::judge_client_end() {
  const Reader& reader = client_.reader();
  const Connection& connection = client_.connection;
  if (!connection.at_end() || connection.cut_off() || streams_by_shortage()) return;
  const bool by_frame = reroute_.hold_unit == config::HoldUnit::frame;
  if (reader.in_frame()) {
    const std::uint64_t bytes = by_frame ? reader.frame_bytes() : reader.message_bytes();
    if (bytes <= reroute_.hold_bytes)
      verdict_.broken("the client's stream was cut in a frame of " + number(bytes) + " bytes");
  } else if (reader.in_message() && facts_.reason == Reason::cut_mid_message && !by_frame) {
    if (reader.message_bytes() <= reroute_.hold_bytes)
      verdict_.broken("the client's stream was cut in a message of " + number(reader.message_bytes()) +
                      " bytes");
  }
  if (facts_.reason == Reason::cut_mid_frame && !reader.in_frame())
    verdict_.broken("cut_mid_frame, but the client is not within a frame");
  const bool must_close =
      !client_.has_vanished() && ending(facts_.reason).to_client != 0 && !facts_.cut && !reader.in_frame();
  if (must_close && !client_.close_seen() && connection.unread() == 0)
    verdict_.broken(std::string("no Close for the client after ") + text(facts_.reason));
}

void Judge::judge_client_code() {
  if (!client_.close_seen()) return;
  const unsigned code = client_.close_code();
  const bool from_a_leg = std::ranges::any_of(legs_, [&](const auto& leg) { return leg->said_code(code); });
  if (from_a_leg || (client_.close_sent() && code == Client::own_code)) return;
  unsigned expected = ending(facts_.reason).to_client;
  // A half-closed client is told why its session ends in the end.
  if (facts_.reason == Reason::client_vanished && code >= 1001 && code <= 1012) return;
  if (expected != code)
    verdict_.broken("Close " + number(code) + " for the client after " + text(facts_.reason));
}

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
// that was cut is none of them, nor are those behind it.
void Judge::judge_preamble() {
  if (undelivered_ != 0) return;
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
  const bool is_certain = !any_leg([](const Backend& leg) { return leg.was_buried_alive(); });
  if (is_certain && undelivered_ > missing)
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
  if (undelivered_ + unconfirmed_ != 0)
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

}  // namespace

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
