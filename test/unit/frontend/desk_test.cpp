// A real setup thread with real backends over loopback. The shard does not run: its inbox is where the
// test finds the replies.
#include <doctest/doctest.h>
#include <poll.h>

#include <deque>

#include "frontend/common_fields.hpp"
#include "holdfast/frontend/setup_thread.hpp"
#include "unit/session/fixture.hpp"

namespace holdfast::frontend {
namespace {

using net::test::patience;
using net::test::Peer;
using session::Attempt;
using session::AttemptReply;
using session::AttemptResult;
using upstream::UpstreamState;

constexpr std::string_view stem =
    "GET /room HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Protocol: chat\r\n"
    "Sec-WebSocket-Version: 13\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";

/// The listening end of a backend that the test plays.
class FakeBackend {
 public:
  FakeBackend() : listener_(net::listen_on(net::test::loopback(), net::Sharing::exclusive).value()) {}

  [[nodiscard]] std::string address() const { return net::to_text(net::local_address(listener_)); }
  [[nodiscard]] bool has_caller() const { return wait(Milliseconds(0)); }
  Peer accept() {
    REQUIRE(wait(patience));
    net::Socket socket(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    REQUIRE(static_cast<bool>(socket));
    const int descriptor = socket.get();
    return {net::make_plain_leg(std::move(socket)), descriptor};
  }
  /// From now on connections are refused.
  void close() { listener_.reset(); }

 private:
  [[nodiscard]] bool wait(std::chrono::milliseconds longest) const {
    pollfd entry{listener_.get(), POLLIN, 0};
    return poll(&entry, 1, static_cast<int>(longest.count())) == 1;
  }
  net::Socket listener_;
};

ws::RequestHead read_request(Peer& caller) {
  std::string bytes;
  while (ws::find_head_end(bytes) == std::string::npos) {
    bytes += caller.read_some();
    REQUIRE_FALSE(caller.ended());
  }
  return ws::RequestHead::parse(bytes).value();
}

std::string switching_for(const ws::RequestHead& request) {
  return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Accept: " +
         ws::accept_key(*request.find("Sec-WebSocket-Key")) + "\r\nSec-WebSocket-Protocol: chat\r\n\r\n";
}

struct Office {
  explicit Office(std::size_t backend_count) {
    route.apply(config::Route{});
    auto made = std::make_shared<dial::Destination>();
    std::vector<std::shared_ptr<upstream::Backend>> members;
    for (std::size_t n = 0; n < backend_count; ++n) {
      config::BackendConfig settings;
      std::string why;
      settings.address =
          config::parse_address(backends[n].address(), config::AddressUse::backend, why).value();
      members.push_back(std::make_shared<upstream::Backend>(state, settings.address.text));
      made->settings.backends.push_back(settings);
    }
    made->upstream = std::make_shared<const upstream::Upstream>(
        "chat", balance::Policy::least_connections, upstream::OutlierRules{2}, std::move(members), 1);
    made->settings.name = "chat";
    destination = std::move(made);
    publish({});
    SetupThread::Surroundings around;
    around.cells = &cells;
    around.present = &present;
    around.budget = &budget;
    around.access = &notes;
    around.log = &notes;
    around.shards = {&shard};
    around.all = {&thread};
    thread.start(around);
  }
  ~Office() {
    thread.stop();
    thread.join();
  }

  void publish(const std::string& secret) {
    auto serving = std::make_shared<Serving>();
    serving->destinations = {destination};
    RouteEntry entry;
    entry.state = &route;
    entry.destination = destination;
    auto reroute = std::make_shared<config::Reroute>();
    reroute->secret = secret;
    entry.reroute = std::move(reroute);
    serving->routes.push_back(std::move(entry));
    present.set(std::move(serving));
  }
  void publish_nothing() { present.set(std::make_shared<const Serving>()); }

  [[nodiscard]] upstream::Backend* member(std::size_t n) const {
    return destination->upstream->backends()[n].get();
  }
  std::unique_ptr<Attempt> attempt(const upstream::Backend* exclude = nullptr) {
    auto made = std::make_unique<Attempt>();
    made->shard = &shard;
    made->session = {3, 4};
    made->id.bytes[15] = 0xf;
    made->number = ++number;
    made->reroutes = 1;
    made->route = &route;
    made->upstream = "chat";
    made->continuation = session::Continuation::make(fields.split(stem), "chat", "");
    made->exclude[0] = exclude;
    made->deadline = Clock::now() + patience;
    return made;
  }
  std::uint32_t ask(std::unique_ptr<Attempt> asked) {
    const std::uint32_t its = asked->number;
    thread.ask(std::move(asked));
    return its;
  }
  std::unique_ptr<AttemptReply> next_reply() {
    while (replies.empty()) {
      pollfd entry{shard.loop().inbox().wake_descriptor(), POLLIN, 0};
      REQUIRE(poll(&entry, 1, static_cast<int>(Milliseconds(patience).count())) == 1);
      collect();
    }
    auto first = std::move(replies.front());
    replies.pop_front();
    return first;
  }
  [[nodiscard]] bool has_reply() {
    collect();
    return !replies.empty();
  }
  void collect() {
    InboxItem* chain = shard.loop().inbox().take_all();
    while (InboxItem* item = Inbox::take_next(chain)) {
      replies.emplace_back(static_cast<AttemptReply*>(item));
    }
  }
  /// Asks with `exclude`; backend `which` answers with what `answer` makes of the request.
  template <class MakeAnswer>
  std::unique_ptr<AttemptReply> answered(std::size_t which, MakeAnswer answer) {
    ask(attempt());
    Peer caller = backends[which].accept();
    caller.send(answer(read_request(caller)));
    return next_reply();
  }

  session::test::Notes notes;
  metrics::SetupCells cells;
  metrics::PumpCells pump_cells;
  metrics::RouteCells route_cells;
  session::RouteState route{"room", {&route_cells}};
  net::DescriptorBudget budget{1000, 0};
  session::Shard shard{{0, pump_cells, notes, notes, 1, nullptr, 1U << 20U, 1, nullptr}};
  std::deque<std::unique_ptr<AttemptReply>> replies;
  std::uint32_t number = 0;
  FakeBackend backends[2];
  std::shared_ptr<UpstreamState> state = std::make_shared<UpstreamState>("chat");
  std::shared_ptr<const dial::Destination> destination;
  Present present;
  SetupThread thread;
  CommonFields fields;
};

TEST_CASE(
    "an attempt sends the first request again with a new key and comes back with leg, seat and early bytes") {
  Office office(2);
  auto asked = office.attempt(office.member(0));
  asked->reroutes = 2;
  asked->cause = Cause::draining;
  const std::uint32_t number = office.ask(std::move(asked));
  Peer caller = office.backends[1].accept();
  const ws::RequestHead request = read_request(caller);
  CHECK(request.raw().starts_with(stem));
  CHECK(request.find("Holdfast-Session") == "0000000000000000000000000000000f");
  CHECK(request.find("Holdfast-Reroute") == "2; cause=draining");
  CHECK(request.count("Sec-WebSocket-Key") == 1);
  caller.send(switching_for(request) + "early");

  const auto reply = office.next_reply();
  CHECK(reply->result == AttemptResult::ready);
  CHECK(reply->number == number);
  CHECK(reply->session == Handle{3, 4});
  CHECK(reply->tried == office.member(1));
  CHECK(reply->early == "early");
  REQUIRE(reply->seat.has_value());
  CHECK(&reply->seat->backend() == office.member(1));
  CHECK(office.member(1)->sessions() == 1);
  CHECK(office.member(1)->dialling() == 0);
  REQUIRE(reply->leg != nullptr);
  CHECK(reply->leg->write(net::test::bytes_of("on we go")).bytes == 8);
  CHECK(caller.read_some() == "on we go");
  CHECK_FALSE(office.backends[0].has_caller());
}

TEST_CASE("with a secret the reroute is signed") {
  Office office(1);
  office.publish("a secret of sixteen bytes");
  office.ask(office.attempt());
  Peer caller = office.backends[0].accept();
  const ws::RequestHead request = read_request(caller);
  const std::string value(*request.find("Holdfast-Reroute"));
  CHECK(value.starts_with("1; cause=lost; time="));
  CHECK(value.size() - value.find("; hmac=") == 7 + 64);
}

TEST_CASE("who has nowhere to go learns it without a dial") {
  Office office(1);
  office.ask(office.attempt(office.member(0)));
  CHECK(office.next_reply()->result == AttemptResult::nobody);
  office.member(0)->set_admin_state(upstream::AdminState::draining);
  office.ask(office.attempt());
  const auto reply = office.next_reply();
  CHECK(reply->result == AttemptResult::nobody);
  CHECK(reply->tried == nullptr);
  CHECK_FALSE(reply->seat.has_value());
  CHECK_FALSE(office.backends[0].has_caller());
  CHECK(office.member(0)->sessions() == 0);
}

TEST_CASE("a session whose route is gone goes by its upstream's name, and nowhere when that is gone too") {
  Office office(1);
  session::RouteState removed("old", {&office.route_cells});
  auto asked = office.attempt();
  asked->route = &removed;
  office.ask(std::move(asked));
  {
    Peer caller = office.backends[0].accept();
    caller.send(switching_for(read_request(caller)));
    CHECK(office.next_reply()->result == AttemptResult::ready);
  }
  // A route that is there decides, whatever upstream the leg before had.
  asked = office.attempt();
  asked->upstream = "former";
  office.ask(std::move(asked));
  {
    Peer caller = office.backends[0].accept();
    caller.send(switching_for(read_request(caller)));
    CHECK(office.next_reply()->result == AttemptResult::ready);
  }
  office.publish_nothing();
  office.ask(office.attempt());
  CHECK(office.next_reply()->result == AttemptResult::gone);
}

TEST_CASE("401 and 403 are final, every other answer but a fitting 101 is a misfit") {
  Office office(1);
  const auto result = [&](const std::string& text) {
    const auto reply = office.answered(0, [&](const ws::RequestHead&) { return text; });
    CHECK(reply->leg == nullptr);
    CHECK_FALSE(reply->seat.has_value());
    CHECK_FALSE(reply->what.empty());
    CHECK(reply->tried == office.member(0));
    CHECK(office.member(0)->sessions() == 0);
    return reply->result;
  };
  CHECK(result("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n") == AttemptResult::refused);
  CHECK(result("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n") == AttemptResult::refused);
  CHECK(result("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n") == AttemptResult::misfit);
  CHECK(office.member(0)->failures(upstream::FailureKind::handshake_status) == 0);
  CHECK(result("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n") == AttemptResult::misfit);
  CHECK(office.member(0)->failures(upstream::FailureKind::handshake_status) == 1);
  CHECK(result("no HTTP\r\n\r\n") == AttemptResult::misfit);
  CHECK(office.member(0)->failures(upstream::FailureKind::garbage) == 1);
}

TEST_CASE("a 101 that would not look the same to the client is a misfit and ejects nobody") {
  Office office(2);
  office.member(1)->set_admin_state(upstream::AdminState::draining);
  for (int n = 0; n < 3; ++n) {
    const auto reply = office.answered(0, [](const ws::RequestHead& head) {
      std::string text = switching_for(head);
      return text.erase(text.find("Sec-WebSocket-Protocol"), 30) + "\r\n";
    });
    CHECK(reply->result == AttemptResult::misfit);
  }
  CHECK_FALSE(office.member(0)->ejected());
  CHECK(office.member(0)->failures(upstream::FailureKind::garbage) == 3);
}

TEST_CASE("a backend that cannot be reached is no way, and is ejected when that goes on") {
  Office office(2);
  office.backends[0].close();
  for (int n = 0; n < 2; ++n) {
    office.ask(office.attempt(office.member(1)));
    const auto reply = office.next_reply();
    CHECK(reply->result == AttemptResult::no_way);
    CHECK(reply->tried == office.member(0));
  }
  CHECK(office.member(0)->failures(upstream::FailureKind::connect) == 2);
  CHECK(office.member(0)->ejected());
  CHECK(office.notes.wait_for_warnings(1).front().find("ejected") != std::string::npos);
  office.ask(office.attempt(office.member(1)));
  CHECK(office.next_reply()->result == AttemptResult::nobody);
}

TEST_CASE("a mute backend costs an attempt no more than its own deadline") {
  Office office(1);
  auto asked = office.attempt();
  asked->deadline = Clock::now() + Milliseconds(300);
  office.ask(std::move(asked));
  Peer caller = office.backends[0].accept();
  const auto reply = office.next_reply();
  CHECK(reply->result == AttemptResult::no_way);
  CHECK(office.member(0)->failures(upstream::FailureKind::timeout) == 1);
  CHECK(office.member(0)->dialling() == 0);
}

TEST_CASE("out of descriptors nothing is dialled and nobody blamed") {
  Office office(1);
  while (office.budget.fits(1)) office.budget.take();
  office.ask(office.attempt());
  CHECK(office.next_reply()->result == AttemptResult::no_way);
  CHECK_FALSE(office.backends[0].has_caller());
  CHECK(office.member(0)->last_error().empty());
}

TEST_CASE("who has been withdrawn is neither dialled for nor answered, who is too late is answered") {
  Office office(1);
  auto withdrawn = office.attempt();
  withdrawn->withdrawn = std::make_shared<const std::atomic<bool>>(true);
  office.ask(std::move(withdrawn));
  auto late = office.attempt();
  late->deadline = Clock::now() - Milliseconds(1);
  const std::uint32_t number = office.ask(std::move(late));
  const auto reply = office.next_reply();
  CHECK(reply->number == number);
  CHECK(reply->result == AttemptResult::nobody);
  CHECK_FALSE(office.has_reply());
  CHECK_FALSE(office.backends[0].has_caller());
  CHECK(office.member(0)->picks() == 0);
}

TEST_CASE("an attempt that is withdrawn while it is dialled leaves nothing behind") {
  Office office(1);
  auto flag = std::make_shared<std::atomic<bool>>(false);
  auto asked = office.attempt();
  asked->withdrawn = flag;
  office.ask(std::move(asked));
  Peer caller = office.backends[0].accept();
  const ws::RequestHead request = read_request(caller);
  flag->store(true);
  caller.send(switching_for(request));
  CHECK(caller.read_to_end().empty());
  CHECK_FALSE(office.has_reply());
  CHECK(office.member(0)->sessions() == 0);
}

// A bucket's own pace is tested with a clock moved by hand; here it is asked, and its waits are kept.
TEST_CASE("attempts beyond the pace wait and then come in the order in which they were asked") {
  Office office(1);
  office.state->reroute_pace().set_rate(50);
  while (office.state->reroute_pace().take(Clock::now()) == Milliseconds(0)) {
  }
  const TimePoint emptied = Clock::now();
  for (int n = 0; n < 3; ++n) office.ask(office.attempt());
  for (std::uint32_t n = 1; n <= 3; ++n) {
    Peer caller = office.backends[0].accept();
    caller.send(switching_for(read_request(caller)));
    CHECK(office.next_reply()->number == n);
  }
  // The first one's token may have been nearly there.
  CHECK(Clock::now() - emptied >= Milliseconds(39));
}

TEST_CASE("who waits for a busy backend is overtaken by those with another, and goes on when a dial ends") {
  Office office(2);
  std::vector<upstream::Dialling> dials;
  while (auto dial = upstream::try_dialling(office.destination->upstream->backends()[0], Clock::now())) {
    dials.push_back(*std::move(dial));
  }
  const std::uint32_t first = office.ask(office.attempt(office.member(1)));
  const std::uint32_t second = office.ask(office.attempt(office.member(0)));
  {
    Peer caller = office.backends[1].accept();
    caller.send(switching_for(read_request(caller)));
  }
  CHECK(office.next_reply()->number == second);
  CHECK_FALSE(office.backends[0].has_caller());
  CHECK_FALSE(office.has_reply());
  dials.pop_back();
  Peer caller = office.backends[0].accept();
  caller.send(switching_for(read_request(caller)));
  CHECK(office.next_reply()->number == first);
}

TEST_CASE("a storm of attempts is answered one by one, never with more dials than a backend may have") {
  constexpr std::uint32_t storm = 3 * UpstreamState::most_connecting;
  Office office(1);
  for (std::uint32_t n = 0; n < storm; ++n) office.ask(office.attempt());
  for (std::uint32_t n = 0; n < storm; ++n) {
    Peer caller = office.backends[0].accept();
    CHECK(office.member(0)->dialling() <= UpstreamState::most_connecting);
    caller.send(switching_for(read_request(caller)));
    office.collect();
  }
  std::vector<bool> seen(storm + 1);
  for (std::uint32_t n = 0; n < storm; ++n) {
    const auto reply = office.next_reply();
    CHECK(reply->result == AttemptResult::ready);
    CHECK_FALSE(seen[reply->number]);
    seen[reply->number] = true;
  }
  CHECK(office.member(0)->dialling() == 0);
}

TEST_CASE("retries of reroutes overdraw the upstream's budget, and new handshakes must wait") {
  Office office(1);
  for (int n = 0; n < 60; ++n) {
    auto asked = office.attempt();
    asked->retry = 1;
    office.ask(std::move(asked));
    Peer caller = office.backends[0].accept();
    caller.send("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
    CHECK(office.next_reply()->result == AttemptResult::misfit);
  }
  CHECK_FALSE(office.state->retries().may_retry(Clock::now()));
}

TEST_CASE("refused connections draw on no budget") {
  Office office(1);
  office.backends[0].close();
  for (int n = 0; n < 60; ++n) {
    office.ask(office.attempt());
    CHECK(office.next_reply()->result == AttemptResult::no_way);
  }
  CHECK(office.state->retries().may_retry(Clock::now()));
}

TEST_CASE("an attempt waits while the circuit breaker's pending dials are taken, and goes on then") {
  Office office(1);
  office.state->circuit().set_limits(0, 1);
  auto taken = office.state->circuit().begin_dial();
  const std::uint32_t asked = office.ask(office.attempt());
  const TimePoint looked_until = Clock::now() + Milliseconds(50);
  while (Clock::now() < looked_until) CHECK_FALSE(office.backends[0].has_caller());
  taken.reset();
  Peer caller = office.backends[0].accept();
  CHECK(office.state->circuit().pending() == 1);
  caller.send(switching_for(read_request(caller)));
  const auto reply = office.next_reply();
  CHECK(reply->number == asked);
  CHECK(reply->result == AttemptResult::ready);
  CHECK(office.state->circuit().pending() == 0);
}

TEST_CASE("retries are slowed down when the budget is exhausted, first attempts overtake them") {
  Office office(1);
  office.state->set_reroute_rate(10);  // a tenth: one retry a second
  office.state->retries().set_rules({0, 0});
  for (int n = 0; n < 200; ++n) office.state->retries().reroute_failed(Clock::now());
  const TimePoint start = Clock::now();
  for (int n = 0; n < 20; ++n) {
    auto retry = office.attempt();
    retry->retry = 1;
    office.ask(std::move(retry));
  }
  const std::uint32_t first = office.ask(office.attempt());
  int callers = 0;
  for (std::uint32_t answered = 0; answered != first; ++callers) {
    Peer caller = office.backends[0].accept();
    caller.send(switching_for(read_request(caller)));
    answered = office.next_reply()->number;
  }
  CHECK(callers <= 2 + (Clock::now() - start) / std::chrono::seconds(1));
}

TEST_CASE("a thread may end while attempts wait and while they are dialled") {
  Office office(1);
  office.ask(office.attempt());
  Peer caller = office.backends[0].accept();
  for (std::uint32_t n = 0; n < 2 * UpstreamState::most_connecting; ++n) office.ask(office.attempt());
  office.thread.stop();
  office.thread.join();
  office.ask(office.attempt());
  CHECK_FALSE(office.has_reply());
}

}  // namespace
}  // namespace holdfast::frontend
