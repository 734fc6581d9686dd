#include "feed/resolver.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <chrono>
#include <future>
#include <memory>
#include <thread>

namespace holdfast::feed::test {
namespace {

namespace asio = boost::asio;

constexpr std::chrono::seconds patience{30};

/// Name servers that answer when they are let.
struct Servers {
  std::promise<void> let;
  std::shared_future<void> may_answer = let.get_future().share();
  std::atomic<int> asked = 0;
  std::atomic<int> answered = 0;
};

Resolver::Resolve answers_of(const std::shared_ptr<Servers>& servers) {
  return [servers](const std::string& host, std::string& error) {
    ++servers->asked;
    servers->may_answer.wait();
    ++servers->answered;
    if (host == "absent.test") error = "not known";
    return std::vector<config::SocketAddress>(host == "absent.test" ? 0 : 2);
  };
}

// What a strand does: true when the lookup was done before `timeout`.
bool wait(asio::io_context& io, const std::shared_ptr<Resolver::Lookup>& lookup,
          std::chrono::milliseconds timeout) {
  asio::steady_timer timer(io, timeout);
  const Resolver::Waiting waiting(lookup, timer);
  if (lookup->is_done) return true;
  bool is_over = false;
  timer.async_wait([&](const boost::system::error_code&) { is_over = true; });
  io.restart();
  while (!is_over) io.run_one();
  return lookup->is_done;
}

TEST_SUITE("resolver") {
  TEST_CASE("a name's addresses are told to all who asked, by one lookup") {
    asio::io_context io;
    const auto keeps_it_running = asio::make_work_guard(io);
    const auto servers = std::make_shared<Servers>();
    Resolver resolver(io, answers_of(servers));
    const auto first = resolver.look_up("a.test");
    CHECK(resolver.look_up("a.test") == first);
    const auto absent = resolver.look_up("absent.test");
    CHECK(absent != first);
    servers->let.set_value();
    CHECK(wait(io, first, patience));
    CHECK(first->sockets.size() == 2);
    CHECK(wait(io, absent, patience));
    CHECK(absent->sockets.empty());
    CHECK(absent->error == "not known");
    CHECK(servers->asked == 2);
    // The next one asks again.
    const auto again = resolver.look_up("a.test");
    CHECK(again != first);
    CHECK(wait(io, again, patience));
  }

  TEST_CASE("who does not want to wait longer goes, and the next one joins the same lookup") {
    asio::io_context io;
    const auto keeps_it_running = asio::make_work_guard(io);
    const auto servers = std::make_shared<Servers>();
    Resolver resolver(io, answers_of(servers));
    const auto lookup = resolver.look_up("a.test");
    CHECK_FALSE(wait(io, lookup, std::chrono::milliseconds(5)));
    CHECK(lookup->waiting.empty());
    CHECK(resolver.look_up("a.test") == lookup);
    CHECK_FALSE(wait(io, lookup, std::chrono::milliseconds(5)));
    servers->let.set_value();
    CHECK(wait(io, lookup, patience));
    CHECK(servers->asked == 1);
  }

  TEST_CASE("nobody waits for a lookup at the end, and its late answer meets nobody") {
    const auto servers = std::make_shared<Servers>();
    {
      asio::io_context io;
      Resolver resolver(io, answers_of(servers));
      (void)resolver.look_up("a.test");
    }
    CHECK(servers->answered == 0);
    servers->let.set_value();
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (servers->answered == 0 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    CHECK(servers->answered == 1);
  }
}

}  // namespace
}  // namespace holdfast::feed::test
