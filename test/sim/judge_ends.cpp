// Promises 3 and 4, and the table of ends.

#include "sim/judge_run.hpp"

namespace holdfast::sim {

bool Judge::may_lose_a_leg() const {
  return pings() || any_leg([](const Backend& leg) { return leg.died_of() != Death::none; }) ||
         plan_.story != Story::planned;
}

// Promise 4: a Close that means "I am going" is no end, unless the client is in the middle of a message.
bool Judge::may_be_forwarded() const {
  const bool can_reroute =
      facts_.continuable && std::ranges::find(reroute_.on, Occasion::lost) != reroute_.on.end();
  if (!can_reroute || client_.reader().in_message() || !client_.close_seen())
    return any_leg([](const Backend& leg) { return leg.close_arrived(); });
  return std::ranges::any_of(legs_, [this](const auto& leg) {
    const auto& going = reroute_.close_codes;
    return leg->close_arrived() && std::ranges::find(going, leg->said_code()) == going.end();
  });
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
      return expect(may_be_forwarded());
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
    case Reason::token_expired:
      return expect(plan_.token_lasts_100ms != 0);
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
    case Reason::too_many_messages:
      return expect(closes_the_fast() && plan_.route.protection.max_messages_per_second != 0);
    case Reason::too_many_bytes:
      return expect(closes_the_fast() && plan_.route.protection.max_bytes_per_second != 0);
    case Reason::too_many_fragments:
      return expect(plan_.route.protection.max_fragments != 0);
    case Reason::none:
    case Reason::client_violation:
    case Reason::message_too_big:
    case Reason::internal:
    case Reason::too_slow:  // these three are of feeds
    case Reason::feed_gone:
    case Reason::too_many_channels:
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
  const bool from_a_leg = std::ranges::any_of(
      legs_, [&](const auto& leg) { return leg->close_sent() && leg->said_code() == code; });
  if (from_a_leg || (client_.close_sent() && code == Client::own_code)) return;
  unsigned expected = ending(facts_.reason).to_client;
  // A half-closed client is told why its session ends in the end.
  if (facts_.reason == Reason::client_vanished && code >= 1001 && code <= 1012) return;
  if (expected != code)
    verdict_.broken("Close " + number(code) + " for the client after " + text(facts_.reason));
}

}  // namespace holdfast::sim
