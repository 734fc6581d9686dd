// Random traffic both ways through one shard: tiny kernel buffers, random writes and reads, many sessions at
// once that share its scratch buffers. Payload is never touched, so each end must get exactly the bytes that
// the other one sent. A failure prints its seed; HOLDFAST_SEED=N runs that one again.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "unit/session/fixture.hpp"

namespace holdfast::session::test {
namespace {

using ws::Opcode;
using ws::Sender;
using Random = std::mt19937_64;

std::size_t below(Random& random, std::size_t limit) {
  return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random);
}

std::string noise(Random& random, std::size_t bytes) {
  std::string out(bytes, '\0');
  for (char& each : out) each = static_cast<char>(random());
  return out;
}

std::size_t payload_size(Random& random) {
  switch (below(random, 8)) {
    case 0:
      return 0;
    case 1:
      return 125 + below(random, 3);  // around the 16-bit length
    case 2:
      return 65'534 + below(random, 4);  // around the 64-bit length
    case 3:
      return below(random, 20'000);
    default:
      return below(random, 200);
  }
}

// A legal stream that ends with a Close: fragmented messages with control frames in between.
std::string random_stream(Random& random, Sender from) {
  std::string out;
  const std::size_t count = 1 + below(random, 12);
  std::size_t open_fragments = 0;
  for (std::size_t n = 0; n < count || open_fragments > 0; ++n) {
    if (below(random, 5) == 0) {
      const Opcode control = below(random, 2) == 0 ? Opcode::ping : Opcode::pong;
      out += frame(from, control, noise(random, below(random, 126)));
      continue;
    }
    const bool last = open_fragments > 2 || below(random, 2) == 0;
    const Opcode opcode = open_fragments > 0      ? Opcode::continuation
                          : below(random, 2) == 0 ? Opcode::text
                                                  : Opcode::binary;
    out += frame(from, opcode, noise(random, payload_size(random)), last);
    open_fragments = last ? 0 : open_fragments + 1;
  }
  return out + close_from(from, 1000, "done");
}

// One end: sends its stream in random pieces and collects what comes.
struct Talker {
  End* end;
  std::string sends;
  std::string expects;
  std::size_t sent = 0;
  std::string got{};
  std::size_t owed = 0;  ///< what the last write did not take: a TLS leg must be offered it again

  [[nodiscard]] bool done() const { return end->ended() && sent == sends.size(); }
  void step(Random& random) {
    if (sent < sends.size()) {
      const std::size_t most = 1 + below(random, below(random, 2) == 0 ? 10 : 30'000);
      const std::string_view piece = std::string_view(sends).substr(sent, std::max(most, owed));
      const std::size_t taken = end->send_some(piece);
      owed = piece.size() - taken;
      sent += taken;
    }
    if (!end->ended() && below(random, 3) != 0) got += end->read_now(1 + below(random, 20'000));
  }
};

Opening random_opening(Random& random) {
  constexpr int sizes[] = {0, 6'000, 16'000, 40'000};
  Opening how;
  how.client = below(random, 2) == 0 ? ClientLeg::tls : ClientLeg::plain;
  how.proxy_buffers = sizes[below(random, 4)];
  how.peer_buffers = sizes[below(random, 4)];
  return how;
}

void wait_for_any(const std::vector<Talker>& talkers) {
  std::vector<pollfd> entries;
  for (const Talker& each : talkers) {
    if (each.done()) continue;
    const int out = each.sent < each.sends.size() ? POLLOUT : 0;
    const int in = each.end->ended() ? 0 : POLLIN;
    entries.push_back({each.end->descriptor(), static_cast<short>(in | out), 0});
  }
  // A TLS end may hold decrypted bytes that poll doesn't know of: hence the short wait.
  poll(entries.data(), entries.size(), 5);
}

void run_batch(Running& running, std::uint64_t seed) {
  CAPTURE(seed);
  INFO("run it alone with HOLDFAST_SEED=", seed);
  Random random(seed);
  constexpr std::size_t sessions = 12;
  std::vector<std::unique_ptr<Ends>> ends;
  std::vector<Talker> talkers;
  std::uint64_t bytes = 0;
  for (std::size_t n = 0; n < sessions; ++n) {
    Opening how = random_opening(random);
    std::string up = random_stream(random, Sender::client);
    std::string down = random_stream(random, Sender::server);
    bytes += up.size() + down.size();
    const std::size_t early =
        below(random, 3) == 0 ? below(random, std::min<std::size_t>(up.size(), 9000)) : 0;
    how.early_to_backend = up.substr(0, early);
    ends.push_back(std::make_unique<Ends>(running.open(how)));
    talkers.push_back({&ends.back()->client, up.substr(early), down});
    talkers.push_back({&ends.back()->backend, down, up});
  }
  const TimePoint deadline = Clock::now() + patience;
  const auto done = [](const Talker& each) { return each.done(); };
  while (!std::ranges::all_of(talkers, done) && Clock::now() < deadline) {
    for (Talker& each : talkers) each.step(random);
    wait_for_any(talkers);
  }
  for (Talker& each : talkers) {
    CHECK(each.done());
    CHECK((each.got == each.expects));
    CHECK_FALSE(each.end->was_reset());
  }
  std::uint64_t recorded = 0;
  for (std::size_t n = 0; n < sessions; ++n) {
    const auto record = running.notes.next_record();
    CHECK((record->reason == Reason::client_closed || record->reason == Reason::backend_closed));
    recorded += record->to_backend.bytes + record->to_client.bytes;
  }
  CHECK(recorded == bytes);
}

TEST_CASE("random traffic arrives byte for byte in both directions, plain and TLS") {
  Running running;
  if (const char* chosen = std::getenv("HOLDFAST_SEED")) {
    run_batch(running, std::strtoull(chosen, nullptr, 10));
    return;
  }
  const std::uint64_t first = std::random_device{}();
  for (std::uint64_t n = 0; n < 25; ++n) run_batch(running, first + n);
  CHECK(running.sessions.open.value() == 0);
  CHECK(running.shard.load() == 0);
}

}  // namespace
}  // namespace holdfast::session::test
