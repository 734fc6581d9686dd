// Both ways of sending must come to the same; which one a kernel allows differs.

#include "holdfast/net/send_batch.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "unit/net/pair.hpp"

namespace holdfast::net::test {
namespace {

/// Clients of one thread, and what each was sent.
class Crowd {
 public:
  explicit Crowd(std::size_t size) {
    while (peers.size() < size) add(tcp_pair());
  }
  void add_tls(Pair pair) {
    const int descriptor = pair.theirs.get();
    auto server = make_tls_server_leg(std::move(pair.ours), *identity().server);
    auto client = make_tls_client_leg(std::move(pair.theirs), *identity().client, "localhost");
    shake_hands(*server, *client);
    peers.emplace_back(std::move(client), descriptor);
    legs.push_back(std::move(server));
  }
  void add(Pair pair) {
    const int descriptor = pair.theirs.get();
    peers.emplace_back(make_plain_leg(std::move(pair.theirs)), descriptor);
    legs.push_back(make_plain_leg(std::move(pair.ours)));
  }
  std::vector<Peer> peers;
  std::vector<std::unique_ptr<Leg>> legs;
};

// Until that much is here, or the end.
std::string read_all(Peer& peer, std::size_t size) {
  std::string text;
  while (text.size() < size && !peer.ended()) text += peer.read_some();
  return text;
}

std::vector<IoResult> run(SendBatch& batch) {
  std::vector<IoResult> results;
  batch.run([&](std::size_t number, IoResult result) {
    CHECK(number == results.size());
    results.push_back(result);
  });
  CHECK(batch.size() == 0);
  return results;
}

void each_gets_its_own(SendBatch& batch, std::size_t size) {
  CAPTURE(size);
  Crowd crowd(size);
  std::vector<std::string> said;
  for (std::size_t n = 0; n < size; ++n) said.push_back("for number " + std::to_string(n) + ".");
  for (std::size_t n = 0; n < size; ++n) {
    const std::span<const std::byte> all = bytes_of(said[n]);
    // Some in one piece, some in several.
    std::vector<std::span<const std::byte>> pieces{all};
    if (n % 3 == 1) pieces = {all.first(4), all.subspan(4)};
    if (n % 3 == 2) pieces = {all.first(1), all.subspan(1, 1), all.subspan(2)};
    batch.add(*crowd.legs[n], pieces);
  }
  CHECK(batch.size() == size);
  const std::vector<IoResult> results = run(batch);
  REQUIRE(results.size() == size);
  for (std::size_t n = 0; n < size; ++n) {
    CHECK(results[n].bytes == said[n].size());
    CHECK(results[n].state == IoState::more);
    CHECK(read_all(crowd.peers[n], said[n].size()) == said[n]);
  }
}

void the_full_and_the_dead_are_told_from_the_others(SendBatch& batch) {
  Crowd crowd(6);
  crowd.add(tcp_pair(4096, 4096));  // reads nothing
  crowd.peers[2].abort();
  const std::size_t dead = 2;
  const std::size_t full = 6;
  REQUIRE(crowd.legs[dead]->discard() != IoState::more);  // the reset is here
  std::string large;
  while (large.size() < 4UL << 20) large += std::to_string(large.size()) + " ";
  const std::string small = "small";
  const std::span<const std::byte> much = bytes_of(large);
  const std::array<std::span<const std::byte>, 2> halves{much.first(1'000), much.subspan(1'000)};
  const std::array<std::span<const std::byte>, 1> little{bytes_of(small)};
  for (std::size_t n = 0; n < crowd.legs.size(); ++n) {
    if (n == full) {
      batch.add(*crowd.legs[n], halves);
    } else {
      batch.add(*crowd.legs[n], little);
    }
  }
  std::vector<IoResult> results = run(batch);
  const std::size_t taken = results[full].bytes;
  for (std::size_t n = 0; n < crowd.legs.size(); ++n) {
    CAPTURE(n);
    if (n == dead) {
      CHECK(results[n].state == IoState::failed);
      CHECK(results[n].bytes == 0);
    } else if (n == full) {
      CHECK(results[n].state == IoState::drained);
      CHECK(taken > 0);
      CHECK(taken < large.size());
    } else {
      CHECK(results[n].bytes == small.size());
      CHECK(read_all(crowd.peers[n], small.size()) == small);
    }
  }
  // What it is given next goes on where the part has ended.
  const std::array<std::span<const std::byte>, 1> rest{much.subspan(taken)};
  for (std::size_t n = 0; n < crowd.legs.size(); ++n) {
    if (n != dead) batch.add(*crowd.legs[n], n == full ? rest : little);
  }
  results = run(batch);
  CHECK(results.back().state == IoState::drained);
  const std::size_t sum = taken + results.back().bytes;
  const bool is_contiguous = read_all(crowd.peers[full], sum) == large.substr(0, sum);
  CHECK(is_contiguous);
}

TEST_SUITE("send batch") {
  TEST_CASE("each leg gets its own bytes, with a ring and without, however many there are") {
    for (const auto mode : {SendBatch::Mode::sends, SendBatch::Mode::ring}) {
      CAPTURE(static_cast<int>(mode));
      SendBatch batch(mode);
      // Too few for a ring, enough for one, too many for that one, few again.
      for (const std::size_t size : {1UL, 3UL, 4UL, 63UL, 200UL, 5UL}) each_gets_its_own(batch, size);
      if (mode == SendBatch::Mode::sends) CHECK(batch.mode() == SendBatch::Mode::sends);
      if (batch.mode() != mode) MESSAGE("this kernel allows no io_uring: only sends were tested");
    }
  }

  TEST_CASE("a full leg has taken a part, a dead one has failed, the others know nothing of it") {
    for (const auto mode : {SendBatch::Mode::sends, SendBatch::Mode::ring}) {
      CAPTURE(static_cast<int>(mode));
      SendBatch batch(mode);
      the_full_and_the_dead_are_told_from_the_others(batch);
    }
  }

  TEST_CASE("a TLS leg keeps what the kernel did not take, and everything arrives in order") {
    for (const auto mode : {SendBatch::Mode::sends, SendBatch::Mode::ring}) {
      CAPTURE(static_cast<int>(mode));
      SendBatch batch(mode);
      Crowd crowd(4);
      Pair pair = tcp_pair(4096, 4096);
      const int descriptor = pair.theirs.get();
      auto full = make_tls_server_leg(std::move(pair.ours), *identity().server);
      auto client = make_tls_client_leg(std::move(pair.theirs), *identity().client, "localhost");
      shake_hands(*full, *client);
      Peer peer(std::move(client), descriptor);
      std::string large;  // more than a record can hold is written, not sealed
      while (large.size() < 3UL << 20) large += std::to_string(large.size()) + " ";
      const std::span<const std::byte> all = bytes_of(large);
      std::size_t taken = 0;
      std::size_t offered = 0;
      std::string got;
      for (unsigned turn = 0; got.size() < large.size(); ++turn) {
        const std::array<std::span<const std::byte>, 2> small{all.first(1), all.first(2)};
        for (auto& leg : crowd.legs) batch.add(*leg, small);
        // What was offered once is offered until it is taken.
        if (taken == offered) offered = std::min(taken + (turn % 5 == 4 ? 40'000UL : 5'000UL), all.size());
        const std::array<std::span<const std::byte>, 1> next{all.subspan(taken, offered - taken)};
        const bool is_free = full->flush() == IoState::more && !next[0].empty();
        if (is_free) batch.add(*full, next);
        const std::vector<IoResult> results = run(batch);
        for (std::size_t n = 0; n < crowd.legs.size(); ++n) {
          CHECK(results[n].bytes == 3);
          CHECK(read_all(crowd.peers[n], 3).size() == 3);
        }
        if (is_free) {
          REQUIRE(results.back().state != IoState::failed);
          taken += results.back().bytes;
        }
        if (turn % 3 == 0) got += peer.read_now(3'000);
      }
      CHECK((got == large));
    }
  }

  TEST_CASE("more ciphertext than is made at once, with a dead leg and a full one, each in its place") {
    for (const auto mode : {SendBatch::Mode::sends, SendBatch::Mode::ring}) {
      CAPTURE(static_cast<int>(mode));
      SendBatch batch(mode);
      Crowd crowd(0);
      constexpr std::size_t size = 60;
      constexpr std::size_t full = 20;
      constexpr std::size_t dead = 25;
      for (std::size_t n = 0; n < size; ++n) {
        if (n % 4 == 3) {
          crowd.add(tcp_pair());
        } else if (n == full) {
          crowd.add_tls(tcp_pair(4096, 4096));
        } else {
          crowd.add_tls(tcp_pair());
        }
      }
      crowd.peers[dead].abort();
      REQUIRE(crowd.legs[dead]->discard() != IoState::more);  // the reset is here
      std::vector<std::string> owed(size);
      for (int turn = 0; turn < 8; ++turn) {
        std::vector<std::string> said;
        std::vector<std::size_t> of;  // whose each call was
        for (std::size_t n = 0; n < size; ++n)
          said.emplace_back(9'000 + 100 * n,
                            static_cast<char>('a' + (n + static_cast<std::size_t>(turn)) % 26));
        for (std::size_t n = 0; n < size; ++n) {
          if (n == full && crowd.legs[n]->flush() != IoState::more) continue;
          if (n == dead && turn > 0) continue;
          const std::span<const std::byte> all = bytes_of(said[n]);
          const std::array<std::span<const std::byte>, 2> halves{all.first(4'000), all.subspan(4'000)};
          batch.add(*crowd.legs[n], halves);
          of.push_back(n);
        }
        const std::vector<IoResult> results = run(batch);
        for (std::size_t number = 0; number < of.size(); ++number) {
          const std::size_t n = of[number];
          CAPTURE(n);
          if (n == dead) {
            CHECK(results[number].state == IoState::failed);
            continue;
          }
          REQUIRE(results[number].state != IoState::failed);
          const std::size_t promised = results[number].bytes + crowd.legs[n]->committed_bytes();
          owed[n] += said[n].substr(0, promised);
          if (n == full && promised > results[number].bytes) {
            // By the way of `sends` it must be offered until it is taken.
            std::string_view rest = std::string_view(said[n]).substr(results[number].bytes);
            while (!rest.empty()) {
              const std::string got = crowd.peers[n].read_now();
              CHECK(owed[n].starts_with(got));
              owed[n].erase(0, got.size());
              rest.remove_prefix(crowd.legs[n]->write(bytes_of(rest)).bytes);
            }
          }
          if (n == full) continue;
          CHECK(read_all(crowd.peers[n], owed[n].size()) == owed[n]);
          owed[n].clear();
        }
      }
      while (!owed[full].empty()) {
        REQUIRE(crowd.legs[full]->flush() != IoState::failed);
        const std::string got = crowd.peers[full].read_now(3'000);
        REQUIRE(owed[full].starts_with(got));
        owed[full].erase(0, got.size());
      }
    }
  }

  TEST_CASE("legs that are not bare are served within the same batch") {
    for (const auto mode : {SendBatch::Mode::sends, SendBatch::Mode::ring}) {
      CAPTURE(static_cast<int>(mode));
      SendBatch batch(mode);
      Crowd crowd(5);
      Pair pair = tcp_pair();
      const int descriptor = pair.theirs.get();
      auto server = make_tls_server_leg(std::move(pair.ours), *identity().server);
      auto client = make_tls_client_leg(std::move(pair.theirs), *identity().client, "localhost");
      shake_hands(*server, *client);
      crowd.legs.insert(crowd.legs.begin() + 2, std::move(server));
      crowd.peers.emplace(crowd.peers.begin() + 2, std::move(client), descriptor);
      const std::string said = "in the clear or not";
      const std::array<std::span<const std::byte>, 1> whole{bytes_of(said)};
      for (auto& leg : crowd.legs) batch.add(*leg, whole);
      for (const IoResult& result : run(batch)) CHECK(result.bytes == said.size());
      for (Peer& peer : crowd.peers) CHECK(read_all(peer, said.size()) == said);
    }
  }
}

}  // namespace
}  // namespace holdfast::net::test
