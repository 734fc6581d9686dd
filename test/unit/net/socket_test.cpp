#include "holdfast/net/socket.hpp"

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>

#include <cerrno>
#include <filesystem>

#include "config/socket_address.hpp"
#include "unit/net/pair.hpp"

namespace holdfast::net::test {
namespace {

std::string fresh_directory() {
  std::string name = (std::filesystem::temp_directory_path() / "holdfast-net-XXXXXX").string();
  REQUIRE(mkdtemp(name.data()) != nullptr);
  return name;
}

TEST_CASE("a descriptor is charged once and given back once, wherever it is moved") {
  DescriptorBudget budget(10, 4);
  CHECK(budget.usable() == 6);
  {
    Socket one(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    one.charge(budget);
    one.charge(budget);
    CHECK(budget.used() == 1);
    Socket two = std::move(one);
    CHECK_FALSE(static_cast<bool>(one));  // NOLINT(bugprone-use-after-move): empty is what is promised
    Socket three(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    three.charge(budget);
    CHECK(budget.used() == 2);
    three = std::move(two);
    CHECK(budget.used() == 1);
    const std::unique_ptr<Leg> leg = make_plain_leg(std::move(three));
    CHECK(budget.used() == 1);
  }
  CHECK(budget.used() == 0);
  Socket none;
  none.charge(budget);
  CHECK(budget.used() == 0);
}

TEST_CASE("a budget fits what is below its usable part, and nothing when the reserve is all there is") {
  DescriptorBudget budget(10, 8);
  CHECK(budget.fits(2));
  CHECK_FALSE(budget.fits(3));
  budget.take();
  CHECK(budget.fits(1));
  CHECK_FALSE(budget.fits(2));
  CHECK(DescriptorBudget(5, 8).usable() == 0);
}

TEST_CASE("several sockets share an address only where that was asked for") {
  const Socket alone = listen_on(loopback(), Sharing::exclusive).value();
  const auto second = listen_on(local_address(alone), Sharing::exclusive);
  REQUIRE_FALSE(second.has_value());
  CHECK(second.error().what.find("cannot bind " + to_text(local_address(alone))) != std::string::npos);
  const Socket first_of_two = listen_on(loopback(), Sharing::reuse_port).value();
  CHECK(listen_on(local_address(first_of_two), Sharing::reuse_port).has_value());
}

TEST_CASE("a unix socket replaces a stale file but not one that is listened on, nor any other file") {
  const std::string directory = fresh_directory();
  const auto address = config::unix_socket(directory + "/s").value();
  { const Socket stale = listen_on(address, Sharing::exclusive).value(); }
  REQUIRE(std::filesystem::exists(directory + "/s"));
  const Socket live = listen_on(address, Sharing::exclusive).value();
  CHECK_FALSE(listen_on(address, Sharing::exclusive).has_value());
  CHECK(start_connect(address).has_value());
  const std::string other = directory + "/file";
  fclose(fopen(other.c_str(), "w"));
  CHECK_FALSE(listen_on(config::unix_socket(other).value(), Sharing::exclusive).has_value());
  CHECK(std::filesystem::exists(other));
  std::filesystem::remove_all(directory);
}

TEST_CASE("a connect that is refused tells so once it has ended") {
  config::SocketAddress nobody;
  { nobody = local_address(listen_on(loopback(), Sharing::exclusive).value()); }
  const auto started = start_connect(nobody);
  // Loopback may refuse within the call itself.
  if (!started) {
    CHECK(started.error().failure == Failure::refused);
    CHECK(started.error().retry == Retry::other_backend);
    return;
  }
  pollfd wait{started.value().get(), POLLOUT, 0};
  REQUIRE(poll(&wait, 1, 30'000) == 1);
  CHECK(connect_outcome(started.value().get(), nobody) == ECONNREFUSED);
}

TEST_CASE("a connect that nobody has answered yet is under way, however often one asks") {
  // A full queue of a listener that never accepts: Linux drops the SYN, as a network that loses it.
  const Socket listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const config::SocketAddress any = loopback();
  REQUIRE(bind(listener.get(), any.get(), any.length) == 0);
  REQUIRE(listen(listener.get(), 0) == 0);
  const config::SocketAddress full = local_address(listener);
  std::vector<Socket> queued;
  int outcome = 0;
  for (int n = 0; n < 10 && outcome == 0; ++n) {
    queued.push_back(start_connect(full).value());
    outcome = connect_outcome(queued.back().get(), full);
  }
  CHECK(outcome == EALREADY);
  CHECK(connect_outcome(queued.back().get(), full) == EALREADY);
}

TEST_CASE("a connect that succeeds has no error and sends without delay") {
  const Socket listener = listen_on(loopback(), Sharing::exclusive).value();
  const Socket made = start_connect(local_address(listener)).value();
  pollfd wait{made.get(), POLLOUT, 0};
  REQUIRE(poll(&wait, 1, 30'000) == 1);
  CHECK(connect_outcome(made.get(), local_address(listener)) == 0);
  CHECK(connect_outcome(made.get(), local_address(listener)) == 0);
  int on = 0;
  socklen_t length = sizeof on;
  getsockopt(made.get(), IPPROTO_TCP, TCP_NODELAY, &on, &length);
  CHECK(on != 0);
}

TEST_CASE("addresses are told as an operator writes them") {
  CHECK(to_text(config::numeric_socket("192.0.2.1", 443).value()) == "192.0.2.1:443");
  CHECK(to_text(config::numeric_socket("2001:db8::1", 80).value()) == "[2001:db8::1]:80");
  CHECK(host_text(config::numeric_socket("2001:db8::1", 80).value()) == "2001:db8::1");
  CHECK(to_text(config::numeric_socket("::ffff:192.0.2.7", 9).value()) == "192.0.2.7:9");
  CHECK(to_text(config::unix_socket("/run/x.sock").value()) == "unix:/run/x.sock");
  CHECK(host_text(config::unix_socket("/run/x.sock").value()) == "unix:");
  config::SocketAddress unnamed;
  unnamed.storage.ss_family = AF_UNIX;
  unnamed.length = sizeof(sa_family_t);
  CHECK(to_text(unnamed) == "unix:");
}

TEST_CASE("a plain leg reads, meets the end behind the data, and tells a reset") {
  Pair pair = tcp_pair();
  const int descriptor = pair.ours.get();
  const auto ours = make_plain_leg(std::move(pair.ours));
  Peer theirs(make_plain_leg(std::move(pair.theirs)), pair.theirs.get());
  std::array<std::byte, 64> into{};
  CHECK(ours->read(into).state == IoState::drained);
  theirs.send("hello");
  theirs.finish();
  pollfd wait{descriptor, POLLRDHUP, 0};
  REQUIRE(poll(&wait, 1, 30'000) == 1);
  const IoResult got = ours->read(into);
  CHECK(got.bytes == 5);
  CHECK(got.state == IoState::drained);
  CHECK(ours->read(into).state == IoState::end);
  CHECK(ours->discard() == IoState::end);

  Pair other = tcp_pair();
  const int other_descriptor = other.ours.get();
  const int their_descriptor = other.theirs.get();
  const auto survivor = make_plain_leg(std::move(other.ours));
  Peer aborting(make_plain_leg(std::move(other.theirs)), their_descriptor);
  aborting.abort();
  pollfd reset{other_descriptor, POLLIN, 0};
  REQUIRE(poll(&reset, 1, 30'000) == 1);
  CHECK(survivor->read(into).state == IoState::failed);
  CHECK(survivor->write(bytes_of("x")).state == IoState::failed);
}

TEST_CASE("a full destination takes a part and says so") {
  Pair pair = tcp_pair(8192, 8192);
  const auto ours = make_plain_leg(std::move(pair.ours));
  const std::string much(8 * 1024 * 1024, 'x');
  const IoResult sent = ours->write(bytes_of(much));
  CHECK(sent.state == IoState::drained);
  CHECK(sent.bytes > 0);
  CHECK(sent.bytes < much.size());
}

TEST_CASE("what a corked leg writes leaves with the FIN, at the leg's end, or when it is uncorked") {
  const auto corked = [](auto then) {
    Pair pair = tcp_pair();
    const int their_descriptor = pair.theirs.get();
    auto ours = make_plain_leg(std::move(pair.ours));
    Peer theirs(make_plain_leg(std::move(pair.theirs)), their_descriptor);
    ours->cork();
    REQUIRE(ours->write(std::as_bytes(std::span("bye", 3))).bytes == 3);
    CHECK_FALSE(theirs.wait(POLLIN, std::chrono::milliseconds(0)));
    then(ours);
    CHECK(theirs.read_some() == "bye");
    return theirs.wait(POLLIN, std::chrono::milliseconds(0)) ? theirs.read_to_end() : "still open";
  };
  CHECK(corked([](auto& leg) { leg->finish_writing(); }).empty());
  CHECK(corked([](auto& leg) { leg->uncork(); }) == "still open");
  CHECK(corked([](auto& leg) {
          leg->finish_before_end();
          leg.reset();
        }).empty());
}

TEST_CASE("discarding throws away what is there and no more") {
  Pair pair = tcp_pair();
  const int descriptor = pair.ours.get();
  const int their_descriptor = pair.theirs.get();
  const auto ours = make_plain_leg(std::move(pair.ours));
  Peer theirs(make_plain_leg(std::move(pair.theirs)), their_descriptor);
  theirs.send("unwanted");
  pollfd wait{descriptor, POLLIN, 0};
  REQUIRE(poll(&wait, 1, 30'000) == 1);
  CHECK(ours->discard() == IoState::drained);
  theirs.send("!");
  REQUIRE(poll(&wait, 1, 30'000) == 1);
  std::array<std::byte, 64> into{};
  CHECK(ours->read(into).bytes == 1);
}

}  // namespace
}  // namespace holdfast::net::test
