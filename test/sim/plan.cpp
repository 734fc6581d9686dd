#include "sim/plan.hpp"

#include <algorithm>

namespace holdfast::sim {

namespace {
using std::chrono::milliseconds;

milliseconds up_to(Random& random, std::size_t most) {
  return milliseconds(random.below(most + 1));
}
}  // namespace

Plan::Plan(Random& random) {
  const std::size_t kind = random.below(10);
  story = kind < 3 ? Story::planned : kind < 6 ? Story::killed : Story::mixed;
  draw_reroute(random);
  draw_traffic(random);
  draw_exit(random);
  draw_rates(random);
  if (story == Story::planned) make_polite();
}

void Plan::draw_reroute(Random& random) {
  config::Reroute& reroute = route.reroute;
  reroute.hold = milliseconds(random.chance(70) ? 500 + random.below(4'000) : random.below(300));
  reroute.hold_bytes = random.chance(10) ? random.below(20) : 64 + random.below(2'000);
  reroute.hold_unit = random.chance(50) ? config::HoldUnit::frame : config::HoldUnit::message;
  reroute.attempts = static_cast<std::uint32_t>(random.between(1, 6));
  if (random.chance(20)) reroute.close_codes.push_back(config::Reroute::no_code);
  reroute.resend_unanswered = random.chance(40) ? random.some(4'000) : 0;
  reroute.preamble = random.chance(30) ? static_cast<std::uint32_t>(random.between(1, 3)) : 0;
  reroute.preamble_answers = reroute.preamble != 0 ? static_cast<std::uint32_t>(random.below(4)) : 0;
  reroute.move = random.chance(70) ? config::MoveOrder::make_first : config::MoveOrder::break_first;
  reroute.quiet = up_to(random, 60);
  if (random.chance(10)) {
    std::erase_if(reroute.on, [&](Occasion) { return random.chance(40); });
  }
  route.close_timeout = milliseconds(random.between(20, 3'000));
  route.ping.interval = milliseconds(random.chance(60) ? random.between(50, 2'000) : 0);
  route.ping.timeout = milliseconds(random.between(20, 1'000));
  route.max_message = route.max_message_to_client = 0;
  route.idle_timeout = milliseconds(random.chance(5) ? random.between(100, 5'000) : 0);
  route.max_age = milliseconds(random.chance(5) ? random.between(100, 10'000) : 0);
  if (random.chance(5)) {
    route.auth.emplace().jwt.emplace();
    token_lasts_100ms = static_cast<std::uint32_t>(random.between(1, 100));
  }
  if (random.chance(5)) hold_memory = random.below(6'000);
}

void Plan::draw_traffic(Random& random) {
  client_messages = random.chance(80) ? random.between(1, 20) : random.between(20, 60);
  client_window = random.chance(50) ? 100'000 : random.between(1, 3'000);
  backend_window = random.chance(50) ? 100'000 : random.between(1, 3'000);
  client_speaks = static_cast<unsigned>(random.between(10, 90));
  client_reads = static_cast<unsigned>(random.between(20, 95));
  backend_reads = static_cast<unsigned>(random.between(20, 95));
  backend_speaks = static_cast<unsigned>(random.below(25));
  backend_answers = static_cast<unsigned>(random.below(101));
  fragments = static_cast<unsigned>(random.below(61));
  pings = static_cast<unsigned>(random.below(8));
  deaths = static_cast<unsigned>(random.between(20, 95));
  orders = story == Story::killed ? 0 : static_cast<unsigned>(random.between(2, 15));
  failures = static_cast<unsigned>(random.chance(50) ? random.below(20) : random.below(90));
  refusals = static_cast<unsigned>(random.chance(20) ? random.below(40) : 0);
  slow_time = static_cast<unsigned>(random.below(15));
  client_answers_pings = random.chance(90);
  client_answers_close = random.chance(90);
  backends_answer_pings = random.chance(80);
}

void Plan::draw_exit(Random& random) {
  constexpr Exit exits[] = {Exit::client_fin, Exit::client_reset,  Exit::client_silence, Exit::backend_close,
                            Exit::drain,      Exit::upstream_gone, Exit::operator_close, Exit::cut};
  exit = random.chance(60) ? Exit::client_close : exits[random.below(8)];
  exit_step = random.chance(50) ? random.between(1, 120) : 250;
}

// Slow enough to be felt, fast enough for the run to end.
void Plan::draw_rates(Random& random) {
  config::RouteProtection& limits = route.protection;
  if (random.chance(20)) {
    limits.max_messages_per_second = static_cast<std::uint32_t>(random.between(20, 300));
    limits.message_burst = static_cast<std::uint32_t>(random.between(1, 10));
  }
  if (random.chance(15)) {
    limits.max_bytes_per_second = random.between(3'000, 30'000);
    limits.byte_burst = random.between(1, 3'000);
  }
  if (random.chance(10)) limits.rate_mode = config::RateMode::close;
  if (random.chance(5)) limits.max_fragments = static_cast<std::uint32_t>(random.between(1, 4));
}

// Nothing in such a run excuses a lost message.
void Plan::make_polite() {
  route.protection.rate_mode = config::RateMode::pause;
  route.protection.max_fragments = 0;
  route.ping.interval = milliseconds(0);
  route.close_timeout = milliseconds(30'000);  // it never takes so long
  client_window = std::max<std::size_t>(client_window, 5'000);
  backend_window = std::max<std::size_t>(backend_window, 5'000);
  client_reads = std::max(client_reads, 50U);
  backend_reads = std::max(backend_reads, 50U);
  route.idle_timeout = route.max_age = milliseconds(0);
  token_lasts_100ms = 0;
  deaths = 0;
  slow_time = 0;
  if (exit != Exit::client_close && exit != Exit::drain && exit != Exit::operator_close)
    exit = Exit::client_close;
  client_answers_close = true;
  backends_answer_pings = true;
}

}  // namespace holdfast::sim
