// Hub and audience together without a kernel: who joins, leaves, stalls and comes back in every order,
// seeded. HOLDFAST_SEED=N runs one seed, as a failure names it.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sim/random.hpp"
#include "unit/feed/fake_client.hpp"
#include "unit/feed/fake_wires.hpp"
#include "unit/session/fixture.hpp"

namespace holdfast::feed::test {
namespace {

using session::test::Notes;

struct Received {
  std::vector<std::uint64_t> numbers;
  std::string last_close;  ///< payload
  bool is_whole = true;    ///< no frame was cut
};

Received parse(const std::string& wire, const std::string& channel) {
  Received received;
  std::size_t at = 0;
  while (at < wire.size()) {
    const auto rest = std::as_bytes(std::span(wire)).subspan(at);
    if (rest.size() < 2 || rest.size() < ws::detail::header_size(std::to_integer<unsigned>(rest[1]))) break;
    const ws::FrameHeader header = ws::detail::read_header(rest);
    if (rest.size() < header.size + header.payload) break;
    const std::string payload = wire.substr(at + header.size, header.payload);
    at += header.size + header.payload;
    if (header.opcode == ws::Opcode::close) received.last_close = payload;
    if (ws::is_control(header.opcode)) continue;
    CHECK(payload.substr(0, channel.size() + 1) == channel + ":");
    received.numbers.push_back(std::stoull(payload.substr(channel.size() + 1)));
  }
  received.is_whole = at == wire.size();
  return received;
}

class World final : private Wires {
 public:
  World(std::uint64_t seed, const config::Feed& settings, std::size_t most_per_turn = 0)
      : random(seed),
        settings_(settings),
        feed("ticker", {&cells}, source_cells),
        hub(feed, 1, settings, dialect::Dialect::opaque(), static_cast<Hub::Host&>(*this)),
        shard({0, pump_cells, notes, notes, 1, nullptr, 1U << 20U, 1, nullptr}),
        audience(shard, static_cast<HubPort&>(*this), 0, net::SendBatch::Mode::sends,
                 most_per_turn == 0 ? most_per_turn_of(random) : most_per_turn) {
    feed.apply(settings, dialect::Dialect::opaque());
  }
  // The hub would tell an audience that is gone.
  ~World() { hub.end_all(std::chrono::milliseconds(0)); }

  void join(char name) {
    clients.push_back(std::make_unique<Client>());
    Client& client = *clients.back();
    client.channel = std::string(1, name);
    client.window = random.between(1, 400);
    client.committed = random.chance(30) ? random.between(1, 64) : 0;
    auto joining = std::make_unique<Joining>();
    joining->client = std::make_unique<FakeLeg>(client);
    joining->route = &route;
    joining->open_sessions = &session_cells;
    joining->feed = &feed;
    joining->channels = {client.channel};
    shard.expect_one();
    audience.send(std::move(joining));
  }

  void join() { join(static_cast<char>('a' + random.below(3))); }

  void step() {
    switch (random.below(12)) {
      case 0:
      case 1:
        if (clients.size() < 40) join();
        break;
      case 2:
      case 3:
      case 4:
        say_something();
        break;
      case 5:
        hub.publish();
        break;
      case 6:
        if (Client* client = some_client()) client->stalled = !client->stalled;
        break;
      case 7:
        leave_or_speak();
        break;
      case 8:
      case 9:
        if (has_tasks()) run_task();
        break;
      default:
        turn();
    }
    hub.check_invariants();
    audience.check_invariants();
  }

  void say(Hub::Channel& channel) {
    const std::string text = channel.key + ":" + std::to_string(said[channel.key]++);
    const auto kind = random.chance(20) ? FrameKind::snapshot : FrameKind::message;
    hub.came(channel, {ws::Opcode::text, std::as_bytes(std::span(text)), Clock::now(), kind});
  }

  // Clients read, then the loop hears of it.
  void turn() {
    std::vector<net::Loop::Event> events;
    for (auto& client : clients) {
      const std::size_t unread = client->wire.size() - client->read;
      if (!client->stalled && unread != 0) client->read += random.some(unread);
      if (client->leg == nullptr) continue;
      net::Handler* const handler = audience.handler_of(*client->leg);
      if (handler == nullptr) continue;  // still on its way
      const bool writable = client->blocked && client->wire.size() - client->read < client->window;
      const bool readable = std::exchange(client->spoke, false);
      if (writable) client->blocked = false;
      if (writable || readable) events.push_back({handler, 0, {readable, writable, client->gone, false}});
    }
    now_ += 1;
    shard.loop().turn_at(now_, events);
  }

  /// In steps that a Tick can tell.
  void grow_older(std::chrono::hours by) {
    for (auto hours = by.count(); hours > 0; --hours) {
      now_ += 3'600'000;
      shard.loop().turn_at(now_, {});
    }
  }

  /// Everything that can happen without anybody's will.
  void settle() {
    for (int n = 0; n < 200; ++n) {
      for (auto& client : clients) client->stalled = false;
      hub.publish();
      while (has_tasks()) run_task();
      turn();
    }
  }

  void everybody_vanishes() {
    for (auto& client : clients) client->gone = client->spoke = true;
    settle();
    hub.tick(Clock::now() + settings_.linger + std::chrono::hours(1));
  }

  static std::size_t most_per_turn_of(sim::Random& random) {
    return random.chance(70) ? random.between(1, 4) : Audience::default_most_per_turn;
  }

  std::vector<std::unique_ptr<Client>> clients;  ///< first: their legs end with the audience
  sim::Random random;
  config::Feed settings_;
  metrics::FeedCells cells;
  metrics::SourceCells source_cells;
  metrics::PumpCells pump_cells;
  metrics::RouteCells route_cells;
  metrics::SessionCells session_cells;
  session::RouteState route{"route", {&route_cells}};
  Notes notes;
  FeedState feed;
  Hub hub;
  session::Shard shard;
  Audience audience;
  std::map<std::string, std::uint64_t> said;  ///< messages by channel
  int sources = 0;

 private:
  Hub& hub_end() noexcept override { return hub; }
  Audience& audience_end() noexcept override { return audience; }
  bool forward(FeedState&, ChannelId, ws::Opcode, std::vector<std::byte>) noexcept override { return true; }
  bool publish(FeedState&, ChannelId, ws::Opcode, std::vector<std::byte>, Origin) noexcept override {
    return false;
  }
  bool ask(FeedState&, Question) noexcept override { return false; }

  // Some sources speak at once.
  void open_source(Hub::Channel& channel) override {
    ++sources;
    hub.confirm(channel);
    if (random.chance(50)) return;
    say(channel);
    hub.publish();
  }
  void close_source(Hub::Channel&) noexcept override { --sources; }

  void say_something() {
    std::vector<Hub::Channel*> open;
    hub.for_each([&](Hub::Channel& each) { open.push_back(&each); });
    if (open.empty()) return;
    say(*open[random.below(open.size())]);
  }

  Client* some_client() { return clients.empty() ? nullptr : clients[random.below(clients.size())].get(); }

  void leave_or_speak() {
    Client* const client = some_client();
    if (client == nullptr || client->gone) return;
    client->spoke = true;
    if (random.chance(50)) {
      client->says += session::test::frame(ws::Sender::client, ws::Opcode::ping, "hello");
    } else if (random.chance(50)) {
      client->says += session::test::close_from(ws::Sender::client, 1000);
    } else {
      client->gone = true;
    }
  }

  Tick now_ = 1000;
};

// Nothing comes any more, but what a source says as soon as it is opened: it gets that and what there is.
// Story: a source that spoke before its opening was told had its first message kept from who had asked for
// it.
void check_late_joiner(World& world, config::Join join) {
  if (world.random.chance(50)) {
    world.join('d');  // that nobody has asked for before
  } else {
    world.join();
  }
  Client& late = *world.clients.back();
  late.window = 1000;
  const std::uint64_t before = world.said[late.channel];
  world.settle();
  const std::vector<std::uint64_t> got = parse(late.wire, late.channel).numbers;
  const std::uint64_t said = world.said[late.channel];
  if (join.kind == config::JoinKind::none) CHECK(got.size() == said - before);
  if (join.kind != config::JoinKind::last) return;
  REQUIRE(got.size() == std::min<std::uint64_t>(join.last, before) + said - before);
  for (std::size_t n = 0; n < got.size(); ++n) CHECK(got[n] == said - got.size() + n);
}

// A reload takes the feed away and brings it back: who followed it is told to go, who comes now is served.
void renew(World& world) {
  const std::size_t before = world.clients.size();
  world.hub.end_all(std::chrono::milliseconds(world.random.below(20)));
  for (int n = 0; n < 5; ++n) world.join();
  for (int n = 0; n < 100; ++n) world.step();
  world.settle();
  for (std::size_t n = 0; n < before; ++n) {
    const Client& client = *world.clients[n];
    if (client.leg != nullptr && !client.gone)
      CHECK_FALSE(parse(client.wire, client.channel).last_close.empty());
  }
}

void run(std::uint64_t seed, config::OnLag policy, config::Join join) {
  CAPTURE(seed);
  config::Feed settings;
  settings.name = "ticker";
  settings.on_lag = policy;
  settings.join = join;
  settings.ring.bytes = 120;
  if (seed % 3 == 0) settings.flush_interval = std::chrono::seconds(1);
  World world(seed, settings);
  for (int n = 0; n < 400; ++n) world.step();
  world.settle();
  check_late_joiner(world, join);
  const bool is_renewed = world.random.chance(30);
  if (is_renewed) renew(world);
  std::uint64_t skipped = 0;
  bool some_left = false;
  for (const auto& client : world.clients) {
    const Received received = parse(client->wire, client->channel);
    const bool was_slow = received.last_close.substr(0, 2) == "\x03\xf5";  // 1013
    if (was_slow) CHECK(policy == config::OnLag::disconnect);
    some_left = some_left || client->leg == nullptr || client->gone;
    for (std::size_t n = 1; n < received.numbers.size(); ++n) {
      REQUIRE(received.numbers[n] > received.numbers[n - 1]);
      skipped += received.numbers[n] - received.numbers[n - 1] - 1;
    }
    if (client->leg == nullptr || client->gone || was_slow || !received.last_close.empty()) continue;
    CHECK(received.is_whole);
    // Who is here has had the newest message, once it has had any.
    if (!received.numbers.empty()) CHECK(received.numbers.back() == world.said[client->channel] - 1);
    if (!is_renewed && join.kind == config::JoinKind::last && world.said[client->channel] != 0)
      CHECK_FALSE(received.numbers.empty());
  }
  std::uint64_t counted = 0;
  for (const metrics::Counter& each : world.cells.skips) counted += each.value();
  if (policy == config::OnLag::disconnect) CHECK(skipped == 0);
  // What a client that left later was behind by nobody can see at its end of the wire.
  CHECK(skipped <= counted);
  if (!some_left && join.kind == config::JoinKind::none) CHECK(skipped == counted);
  world.everybody_vanishes();
  CHECK(world.audience.subscriber_count() == 0);
  CHECK(world.audience.channel_count() == 0);
  CHECK(world.hub.size() == 0);
  CHECK(world.sources == 0);
  CHECK(world.cells.subscribers.value() == 0);
  CHECK(world.session_cells.open.value() == 0);
  CHECK(world.shard.load() == 0);
}

// Story: a pass over thousands was one turn. A message that came at its beginning had to wait for its end and
// then for all of the next pass; and so had whatever else the thread had to do.
TEST_CASE("a pass takes several turns, and who is still to be served gets what has come meanwhile") {
  config::Feed settings;
  settings.name = "ticker";
  World world(1, settings, 2);
  for (int n = 0; n < 5; ++n) {
    world.join('a');
    world.clients.back()->window = 1000;
  }
  world.settle();
  const auto publish = [&] {
    world.hub.for_each([&](Hub::Channel& channel) { world.say(channel); });
    world.hub.publish();
    world.turn();
  };
  const auto with_all = [&] {
    return std::ranges::count_if(world.clients, [&](const auto& client) {
      const auto numbers = parse(client->wire, "a").numbers;
      return !numbers.empty() && numbers.back() + 1 == world.said["a"];
    });
  };
  publish();
  CHECK(with_all() == 2);
  publish();
  CHECK(with_all() == 2);
  world.clients.front()->gone = world.clients.front()->spoke = true;
  world.clients.back()->gone = world.clients.back()->spoke = true;
  world.turn();
  world.turn();
  world.audience.check_invariants();
  CHECK(world.audience.subscriber_count() == 3);
  for (const std::size_t n : {1, 2, 3}) {
    const auto numbers = parse(world.clients[n]->wire, "a").numbers;
    REQUIRE(!numbers.empty());
    CHECK(numbers.back() + 1 == world.said["a"]);
    CHECK(std::ranges::adjacent_find(numbers, [](auto a, auto b) { return b != a + 1; }) == numbers.end());
  }
  world.everybody_vanishes();
  CHECK(world.audience.subscriber_count() == 0);
}

TEST_CASE("a subscriber's max_age may be a month, and its duration is told right") {
  config::Feed settings;
  settings.name = "ticker";
  World world(1, settings);
  world.route.ping_interval_ms = 0;
  world.route.max_age_ms = 30 * 86'400'000U;
  world.join('a');
  world.settle();
  world.grow_older(std::chrono::hours(30 * 24 - 2));
  CHECK_FALSE(world.notes.has_records());
  world.grow_older(std::chrono::hours(4));
  REQUIRE(world.notes.has_records());
  const auto record = world.notes.next_record();
  CHECK(record->reason == Reason::max_age);
  CHECK(record->duration >= std::chrono::hours(30 * 24));
}

TEST_CASE("joins, leaves and stalls in every order: each message once, in order, or counted as skipped") {
  const char* const one = std::getenv("HOLDFAST_SEED");
  const std::uint64_t first = one != nullptr ? std::strtoull(one, nullptr, 10) : 1;
  const std::uint64_t count = one != nullptr ? 1 : 60;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    for (const auto policy : {config::OnLag::conflate, config::OnLag::skip_to_snapshot,
                              config::OnLag::drop_oldest, config::OnLag::disconnect}) {
      run(seed, policy, {config::JoinKind::none, 0});
      run(seed, policy, {config::JoinKind::last, 2});
      run(seed, policy, {config::JoinKind::snapshot, 0});
    }
  }
}

}  // namespace
}  // namespace holdfast::feed::test
