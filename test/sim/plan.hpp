#pragma once
// What one run is about, drawn from its seed before anything happens.

#include <cstdint>

#include "holdfast/config/config.hpp"
#include "sim/random.hpp"

namespace holdfast::sim {

/// What may happen to backends.
enum class Story : std::uint8_t {
  planned,  ///< they live, answer and are polite; sessions are only moved
  killed,   ///< they die
  mixed,    ///< they die and are moved from
};

/// What ends the session, if nothing does before.
enum class Exit : std::uint8_t {
  client_close,
  client_fin,
  client_reset,
  client_silence,
  backend_close,
  drain,
  upstream_gone,
  operator_close,
  cut,
};

/// How a backend's process ends, or stops being of use.
enum class Death : std::uint8_t {
  none,
  fin,
  reset,
  hang,         ///< stopped: its kernel goes on acknowledging
  host_gone,    ///< no packet comes any more
  close_going,  ///< a Close that means "I am going"
  close_final,  ///< a Close that is the application's wish
  violation,
};

struct Plan {
  explicit Plan(Random& random);

  config::Route route;
  Story story = Story::mixed;
  Exit exit = Exit::client_close;
  std::size_t exit_step = 100;       ///< the exit comes then, at the latest
  std::size_t client_messages = 10;  ///< or with the last of these
  std::size_t client_window = 10'000;
  std::size_t backend_window = 10'000;
  unsigned client_speaks = 40;  ///< percent of the steps; so are the next ones
  unsigned client_reads = 80;
  unsigned backend_reads = 80;
  unsigned backend_speaks = 10;
  unsigned backend_answers = 60;  ///< percent of the messages
  unsigned fragments = 30;        ///< percent of the messages that are fragmented
  unsigned pings = 3;             ///< percent of the steps
  unsigned deaths = 60;           ///< percent of the legs
  unsigned orders = 0;            ///< percent of the steps
  unsigned failures = 20;         ///< percent of the attempts
  unsigned refusals = 0;          ///< percent of the failures
  unsigned slow_time = 10;        ///< percent of the steps that take long
  std::uint32_t token_lasts_100ms = 0;
  std::uint64_t hold_memory = 256ULL << 20;
  bool client_answers_pings = true;
  bool client_answers_close = true;
  bool backends_answer_pings = true;

 private:
  void draw_reroute(Random& random);
  void draw_traffic(Random& random);
  void draw_exit(Random& random);
  void draw_rates(Random& random);
  void make_polite();
};

}  // namespace holdfast::sim
