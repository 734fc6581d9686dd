// Clients that speak a dialect, their hub and a source that confirms and refuses when it likes, without a
// kernel, seeded. HOLDFAST_SEED=N runs one seed, as a failure names it.

#include <doctest/doctest.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "sim/random.hpp"
#include "unit/dialect/shipped.hpp"
#include "unit/feed/fake_client.hpp"
#include "unit/feed/fake_wires.hpp"
#include "unit/session/fixture.hpp"

namespace holdfast::feed::test {
namespace {

using Json = nlohmann::json;

std::vector<Json> parse(const std::string& wire) {
  std::vector<Json> told;
  std::size_t at = 0;
  while (at < wire.size()) {
    const auto rest = std::as_bytes(std::span(wire)).subspan(at);
    if (rest.size() < 2 || rest.size() < ws::detail::header_size(std::to_integer<unsigned>(rest[1]))) break;
    const ws::FrameHeader header = ws::detail::read_header(rest);
    if (rest.size() < header.size + header.payload) break;
    if (header.opcode == ws::Opcode::text)
      told.push_back(Json::parse(wire.substr(at + header.size, header.payload)));
    at += header.size + header.payload;
  }
  CHECK(at == wire.size());
  return told;
}

// Messages and questions as Binance has them, but for `do: publish`, which it has not.
std::shared_ptr<const dialect::Dialect> rules() {
  return dialect::test::made(R"({
    "id": "/id",
    "limits": {"keys_per_client": 3},
    "client": [
      {"if": {"/do": "sub"}, "do": "subscribe", "keys": "/keys/*", "reply": {"ok": "$id", "has": "$all", "keys": "$keys"}},
      {"if": {"/do": "unsub"}, "do": "unsubscribe", "keys": "/keys/*", "reply": {"ok": "$id", "has": "$all", "keys": "$keys"}},
      {"if": {"/do": "ping"}, "do": "ping", "reply": {"pong": "$id=null"}},
      {"if": {"/do": "ask"}, "do": "request"},
      {"if": {"/do": "say"}, "do": "publish", "key": "/key", "via": "local", "echo": false}],
    "replies": {"error": {"no": "$id=null", "why": "$code"}},
    "commands": {"subscribe": {"message": {"add": "$keys"}}, "unsubscribe": {"message": {"drop": "$keys"}}},
    "source": [{"has": "/n", "do": "data", "key": "/key"}, {"has": "/ack", "do": "ack", "id": "/ack"}],
    "channels": [{"match": "*", "join": "none", "on_lag": "disconnect"}]})");
}

class World final : private Wires {
 public:
  explicit World(std::uint64_t seed)
      : random(seed),
        feed("talk", {&cells}, source_cells),
        hub(feed, 1, settings(), dialect, static_cast<Hub::Host&>(*this)),
        shard({0, pump_cells, notes, notes, 1, nullptr, 1U << 20U, 1, nullptr}),
        audience(shard, static_cast<HubPort&>(*this), 0, net::SendBatch::Mode::sends) {
    feed.apply(settings(), dialect);
    route.max_message = 1U << 16U;
  }
  // The hub would tell an audience that is gone.
  ~World() { hub.end_all(std::chrono::milliseconds(0)); }

  static config::Feed settings() {
    config::Feed made;
    made.name = "talk";
    made.max_channels = 4;
    made.max_channels_per_client = 4;  // the dialect says 3
    return made;
  }

  void step() {
    switch (random.below(9)) {
      case 0:
        if (clients.size() < 12) join();
        break;
      case 1:
      case 2:
      case 3:
        speak();
        break;
      case 4:
        decide();
        break;
      case 5:
        say_something();
        break;
      case 6:
        if (has_tasks()) run_task();
        break;
      case 7:
        if (random.chance(10)) vanish();
        break;
      default:
        turn();
    }
    hub.check_invariants();
    audience.check_invariants();
  }

  void settle() {
    for (int n = 0; n < 100; ++n) {
      while (!waiting_.empty()) decide();
      hub.publish();
      while (has_tasks()) run_task();
      for (const Asker& each : std::exchange(asked_, {})) answer(each);
      turn();
    }
  }
  void everybody_vanishes() {
    for (auto& client : clients) client->gone = client->spoke = true;
    settle();
    hub.tick(Clock::now() + std::chrono::hours(1));
  }
  Client& comes() {
    join();
    return *clients.back();
  }
  /// The source does not say yes or no.
  void says(Client& client, const std::string& message) {
    client.says += session::test::frame(ws::Sender::client, ws::Opcode::text, message);
    client.spoke = true;
    pass();
  }
  Client& asks(const std::string& name) {
    Client& client = comes();
    says(client, Json{{"id", ++sent[&client]}, {"do", "sub"}, {"keys", {name}}}.dump());
    return client;
  }
  void vanishes(Client& client) {
    client.gone = client.spoke = true;
    pass();
  }
  void pass() {
    for (int n = 0; n < 3; ++n) {
      turn();
      while (has_tasks()) run_task();
    }
  }

  std::vector<std::unique_ptr<Client>> clients;  ///< first: their legs end with the audience
  sim::Random random;
  std::shared_ptr<const dialect::Dialect> dialect = rules();
  metrics::FeedCells cells;
  metrics::SourceCells source_cells;
  metrics::PumpCells pump_cells;
  metrics::RouteCells route_cells;
  metrics::SessionCells session_cells;
  session::RouteState route{"route", {&route_cells}};
  session::test::Notes notes;
  FeedState feed;
  Hub hub;
  session::Shard shard;
  Audience audience;
  std::map<const Client*, int> sent;  ///< ids that it has used
  std::map<const Client*, std::vector<Json>>
      said;  ///< by those who use none: what they are answered in order
  int sources = 0;

 private:
  Hub& hub_end() noexcept override { return hub; }
  Audience& audience_end() noexcept override { return audience; }
  void join() {
    Client& client = *clients.emplace_back(std::make_unique<Client>());
    client.window = 1U << 20U;
    auto joining = std::make_unique<Joining>();
    joining->client = std::make_unique<FakeLeg>(client);
    joining->route = &route;
    joining->open_sessions = &session_cells;
    joining->feed = &feed;
    joining->speaks = true;
    if (random.chance(30)) said[&client];
    shard.expect_one();
    audience.send(std::move(joining));
  }
  std::string key() { return std::string(1, static_cast<char>('a' + random.below(6))); }
  void speak() {
    if (clients.empty()) return;
    Client& client = *clients[random.below(clients.size())];
    if (client.gone) return;
    if (said.contains(&client)) return speak_without_ids(client);
    Json message{{"id", ++sent[&client]}};
    switch (random.below(6)) {
      case 0:
        message["do"] = "unsub";
        message["keys"] = {key()};
        break;
      case 1:
        message["do"] = "ask";
        break;
      case 2:
        message.erase("id");
        --sent[&client];
        message["do"] = "say";
        message["key"] = key();
        message["from"] = client.channel;
        break;
      default:
        message["do"] = "sub";
        message["keys"] = random.chance(50) ? Json{key()} : Json{key(), key()};
    }
    client.says += session::test::frame(ws::Sender::client, ws::Opcode::text, message.dump());
    client.spoke = true;
  }
  void speak_without_ids(Client& client) {
    Json message{{"do", random.chance(60) ? "sub" : "unsub"}, {"keys", {key(), key()}}};
    if (random.chance(10)) message = {{"do", "nothing"}};
    said[&client].push_back(message);
    client.says += session::test::frame(ws::Sender::client, ws::Opcode::text, message.dump());
    client.spoke = true;
  }
  void vanish() {
    if (clients.empty()) return;
    Client& client = *clients[random.below(clients.size())];
    client.gone = client.spoke = true;
  }
  /// The source says yes or no to a channel.
  void decide() {
    if (waiting_.empty()) return;
    const std::string name = *waiting_.begin();
    waiting_.erase(waiting_.begin());
    Hub::Channel* found = nullptr;
    hub.for_each([&](Hub::Channel& each) {
      if (each.key == name) found = &each;
    });
    if (found == nullptr) return;
    if (name == "f" || random.chance(10)) return hub.refuse(*found, {dialect::Fault::source_error, "no", {}});
    hub.confirm(*found);
  }
  void say_something() {
    std::vector<Hub::Channel*> open;
    hub.for_each([&](Hub::Channel& each) { open.push_back(&each); });
    if (open.empty()) return;
    Hub::Channel& channel = *open[random.below(open.size())];
    const std::string text = Json{{"key", channel.key}, {"n", ++said_[channel.key]}}.dump();
    hub.came(channel, {ws::Opcode::text, std::as_bytes(std::span(text)), Clock::now()});
    if (random.chance(50)) hub.publish();
  }
  void answer(const Asker& asker) {
    auto item = std::make_unique<Answered>();
    item->asker = asker;
    if (random.chance(50)) {
      item->text = Json{{"answer", Json::parse(asker.id)}}.dump();
    } else {
      item->why = {dialect::Fault::timed_out, "late", {}};
    }
    audience.send(std::move(item));
  }

  bool forward(FeedState&, ChannelId, ws::Opcode, std::vector<std::byte>) noexcept override { return true; }
  bool publish(FeedState&, ChannelId id, ws::Opcode opcode, std::vector<std::byte> message,
               Origin origin) noexcept override {
    later([this, id, opcode, origin, message = std::move(message)] {
      Hub::Channel* const channel = hub.find(id);
      if (channel != nullptr)
        hub.came(*channel, {opcode, message, Clock::now(), FrameKind::message, {}, origin});
    });
    return true;
  }
  bool ask(FeedState&, Question question) noexcept override {
    if (random.chance(10)) return false;
    asked_.push_back(std::move(question.asker));
    return true;
  }

  void open_source(Hub::Channel& channel) override {
    ++sources;
    waiting_.insert(channel.key);
  }
  void close_source(Hub::Channel& channel) noexcept override {
    --sources;
    waiting_.erase(channel.key);
  }

  void turn() {
    std::vector<net::Loop::Event> events;
    for (auto& client : clients) {
      client->read = client->wire.size();
      if (client->leg == nullptr) continue;
      net::Handler* const handler = audience.handler_of(*client->leg);
      if (handler == nullptr) continue;
      const bool readable = std::exchange(client->spoke, false);
      if (readable) events.push_back({handler, 0, {readable, false, client->gone, false}});
    }
    now_ += 1;
    shard.loop().turn_at(now_, events);
  }

  std::set<std::string> waiting_;  ///< channels that the source has not answered for
  std::vector<Asker> asked_;
  std::map<std::string, int> said_;
  Tick now_ = 1000;
};

// Answers to messages without an id come in the order of those.
void check_order(const World& world, const Client& client) {
  const auto said = world.said.find(&client);
  if (said == world.said.end()) return;
  std::size_t next = 0;
  for (const Json& told : parse(client.wire)) {
    if (!told.contains("keys") && !told.contains("no")) continue;
    REQUIRE(next < said->second.size());
    const Json& asked = said->second[next++];
    CHECK(told.contains("no") >= (asked["do"] == "nothing"));
    if (!told.contains("keys")) continue;
    const auto keys = asked["keys"].get<std::set<std::string>>();
    CHECK_MESSAGE(told["keys"].get<std::set<std::string>>() == keys, told.dump());
  }
  if (client.leg != nullptr && !client.gone) CHECK(next == said->second.size());
}

// What a client was told, from the beginning: nothing of a channel before it was told to have it, each number
// once and in order, each of its messages answered once.
void check(const World& world, const Client& client) {
  std::map<std::string, int> latest;
  std::set<std::string> has;
  std::multiset<int> replies;
  for (const Json& told : parse(client.wire)) {
    if (told.contains("n")) {
      const std::string key = told["key"];
      CHECK_MESSAGE(has.contains(key), told.dump());
      CHECK(told["n"].get<int>() > latest[key]);
      latest[key] = told["n"];
    } else if (told.contains("from")) {
      CHECK(has.contains(told["key"].get<std::string>()));
    } else if (told.contains("keys")) {
      if (told.contains("ok")) replies.insert(told["ok"].get<int>());
      has = told["has"].get<std::set<std::string>>();
      CHECK(has.size() <= 3);
    } else if (told.contains("answer")) {
      replies.insert(told["answer"].get<int>());
    } else if (told.contains("no") && told["no"].is_number()) {
      replies.insert(told["no"].get<int>());
    }
  }
  check_order(world, client);
  if (client.leg == nullptr || client.gone) return;
  const auto sent = world.sent.find(&client);
  const int count = sent == world.sent.end() ? 0 : sent->second;
  CHECK(replies.size() == static_cast<std::size_t>(count));
  for (int n = 1; n <= count; ++n) CHECK_MESSAGE(replies.count(n) == 1, n);
}

TEST_CASE("what clients ask for in every order is answered once, and what they are told to have they get") {
  const char* const one = std::getenv("HOLDFAST_SEED");
  const std::uint64_t first = one != nullptr ? std::strtoull(one, nullptr, 10) : 1;
  const std::uint64_t count = one != nullptr ? 1 : 300;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    CAPTURE(seed);
    World world(seed);
    for (int n = 0; n < 400; ++n) world.step();
    world.settle();
    for (const auto& client : world.clients) check(world, *client);
    world.everybody_vanishes();
    CHECK(world.audience.subscriber_count() == 0);
    CHECK(world.audience.channel_count() == 0);
    CHECK(world.hub.size() == 0);
    CHECK(world.sources == 0);
    CHECK(world.cells.subscribers.value() == 0);
    CHECK(world.cells.subscriptions.value() == 0);
    CHECK(world.session_cells.open.value() == 0);
  }
}

// It stayed in the hub's books, and in the queue of what the source is asked for, until the source answered.
TEST_CASE("who vanishes before the source has answered is not waited for any more") {
  World world(1);
  Client& client = world.asks("a");
  CHECK(world.hub.size() == 1);
  CHECK(world.sources == 1);
  world.vanishes(client);
  CHECK(world.audience.channel_count() == 0);
  world.hub.tick(Clock::now() + std::chrono::hours(1));
  CHECK(world.hub.size() == 0);
  CHECK(world.sources == 0);
}

std::vector<std::string> kinds(const Client& client) {
  std::vector<std::string> told;
  for (const Json& each : parse(client.wire)) {
    for (const char* kind : {"ok", "no", "pong", "keys"}) {
      if (!each.contains(kind)) continue;
      told.emplace_back(kind);
      break;
    }
  }
  return told;
}

// Who gives his messages no ids can't know better than that answers come in their order: an error that had
// overtaken the answer to the message before was taken for it.
TEST_CASE("messages without an id are answered in order, those with one and pings at once") {
  World world(1);
  Client& client = world.comes();
  world.says(client, R"({"do": "sub", "keys": ["a"]})");
  world.says(client, R"({"do": "nothing"})");
  world.says(client, R"({"do": "unsub", "keys": ["b"]})");
  CHECK(kinds(client).empty());
  world.says(client, R"({"do": "unsub", "keys": ["b"], "id": 5})");
  world.says(client, R"({"do": "ping"})");
  CHECK(kinds(client) == std::vector<std::string>{"ok", "pong"});
  world.settle();
  const auto told = kinds(client);
  REQUIRE(told.size() == 5);
  CHECK(told[3] == "no");
  CHECK(told[4] == "keys");
}

TEST_CASE("a client that sends thousands of messages without an id and is not answered is bounded") {
  World world(1);
  Client& client = world.comes();
  world.says(client, R"({"do": "sub", "keys": ["a"]})");
  for (int n = 0; n < 1'500; ++n) world.says(client, R"({"do": "unsub", "keys": ["b"]})");
  CHECK(kinds(client).size() == 501);
  world.settle();
  CHECK(kinds(client).size() == 1'501);
}

TEST_CASE("what a client says to a channel that is not open yet is kept, 256 KiB of it") {
  World world(1);
  Client& client = world.comes();
  world.says(client, R"({"do": "sub", "keys": ["a"], "id": 1})");
  for (int n = 2; n < 302; ++n)
    world.says(client, Json{{"do", "say"}, {"key", "a"}, {"id", n}, {"pad", std::string(1'000, 'x')}}.dump());
  const std::size_t errors = kinds(client).size();
  CHECK(errors > 30);
  CHECK(errors < 60);
  world.settle();
  CHECK(kinds(client).size() == errors + 1);
}

TEST_CASE("since when a channel is waited for counts from the first of those who wait now") {
  World world(1);
  const auto since = [&] {
    TimePoint found{};
    world.hub.for_each([&](const Hub::Channel& each) { found = each.wanted_since; });
    return found;
  };
  world.vanishes(world.asks("a"));
  const TimePoint before = Clock::now();
  CHECK(since() < before);
  (void)world.asks("a");
  const TimePoint first = since();
  CHECK(first >= before);
  (void)world.asks("a");
  CHECK(since() == first);
  world.settle();
}

}  // namespace
}  // namespace holdfast::feed::test
