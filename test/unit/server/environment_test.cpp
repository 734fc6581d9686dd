// What the process learns from its surroundings: CPUs, the service manager's variables.
#include <doctest/doctest.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstdlib>
#include <optional>

#include "config/socket_address.hpp"
#include "holdfast/net/socket.hpp"
#include "server/service_manager.hpp"
#include "server/workers.hpp"
#include "unit/server/capture.hpp"

namespace holdfast::server::test {
namespace {

class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* old = std::getenv(name)) before_ = old;
    setenv(name, value.c_str(), 1);
  }
  ~Variable() {
    if (before_) {
      setenv(name_, before_->c_str(), 1);
    } else {
      unsetenv(name_);
    }
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

/// The descriptors that a service manager passes, put where it puts them; what was there comes back.
class Passed {
 public:
  explicit Passed(const std::vector<int>& descriptors) {
    for (std::size_t n = 0; n < descriptors.size(); ++n) {
      const int place = static_cast<int>(n) + 3;
      saved_.push_back(fcntl(place, F_DUPFD_CLOEXEC, 100));
      REQUIRE(dup2(descriptors[n], place) == place);
    }
  }
  ~Passed() {
    for (std::size_t n = 0; n < saved_.size(); ++n) {
      const int place = static_cast<int>(n) + 3;
      close(place);
      if (saved_[n] >= 0) dup2(saved_[n], place);
      if (saved_[n] >= 0) close(saved_[n]);
    }
  }
  Passed(const Passed&) = delete;
  Passed& operator=(const Passed&) = delete;

 private:
  std::vector<int> saved_;
};

TEST_CASE("workers are as many as wanted, else no more than the CPUs this process may use") {
  CHECK(worker_count(7) == 7);
  cpu_set_t all;
  REQUIRE(sched_getaffinity(0, sizeof all, &all) == 0);
  CHECK(worker_count(0) >= 1);
  CHECK(worker_count(0) <= static_cast<std::size_t>(CPU_COUNT(&all)));
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
  CHECK(worker_count(0) == 1);
  REQUIRE(sched_setaffinity(0, sizeof all, &all) == 0);
}

net::Socket listening_on(const config::SocketAddress& address) {
  net::Socket made(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  REQUIRE(bind(made.get(), address.get(), address.length) == 0);
  return made;
}

std::string next_datagram(const net::Socket& from) {
  std::array<char, 256> text{};
  const ssize_t got = recv(from.get(), text.data(), text.size(), MSG_DONTWAIT);
  return got < 0 ? "nothing" : std::string(text.data(), static_cast<std::size_t>(got));
}

TEST_CASE("the service manager is told where it listens, by path or by abstract name") {
  const Directory directory;
  const std::string path = directory.file("notify");
  const net::Socket by_path = listening_on(config::unix_socket(path).value());
  {
    const Variable set("NOTIFY_SOCKET", path);
    notify_service_manager("READY=1\nSTATUS=up");
  }
  CHECK(next_datagram(by_path) == "READY=1\nSTATUS=up");
  const std::string name = "@holdfast-test-" + std::to_string(getpid());
  config::SocketAddress abstract = config::unix_socket(name).value();
  reinterpret_cast<sockaddr_un*>(&abstract.storage)->sun_path[0] = '\0';
  abstract.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  const net::Socket by_name = listening_on(abstract);
  {
    const Variable set("NOTIFY_SOCKET", name);
    notify_service_manager("STOPPING=1");
  }
  CHECK(next_datagram(by_name) == "STOPPING=1");
}

TEST_CASE("without a service manager, or with one that is gone, nothing happens") {
  notify_service_manager("READY=1");
  for (const std::string& path : {std::string("/nowhere/at/all"), std::string(500, 'x'), std::string()}) {
    const Variable set("NOTIFY_SOCKET", path);
    notify_service_manager("READY=1");
  }
}

TEST_CASE("a passed socket is found by its name, each time as a duplicate that does not block") {
  const net::Socket one =
      net::listen_on(config::numeric_socket("127.0.0.1", 0).value(), net::Sharing::exclusive).value();
  const net::Socket two =
      net::listen_on(config::numeric_socket("127.0.0.1", 0).value(), net::Sharing::exclusive).value();
  fcntl(two.get(), F_SETFL, 0);
  const Variable pid("LISTEN_PID", std::to_string(getpid()));
  const Variable count("LISTEN_FDS", "2");
  const Variable names("LISTEN_FDNAMES", "admin:public");
  const Passed passed({one.get(), two.get()});
  const net::Socket first = passed_socket("public").value();
  const net::Socket again = passed_socket("public").value();
  CHECK(first.get() != again.get());
  CHECK(first.get() > 4);
  CHECK(net::local_address(first) == net::local_address(two));
  CHECK((fcntl(first.get(), F_GETFL) & O_NONBLOCK) != 0);
  CHECK((fcntl(first.get(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK(net::local_address(passed_socket("admin").value()) == net::local_address(one));
  const auto unknown = passed_socket("publi");
  REQUIRE_FALSE(unknown.has_value());
  CHECK(unknown.error().what == "fd:publi: no socket of that name was passed (LISTEN_FDNAMES)");
}

TEST_CASE("a passed socket that nobody can accept on is refused") {
  const net::Socket mute(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const Variable pid("LISTEN_PID", std::to_string(getpid()));
  const Variable count("LISTEN_FDS", "1");
  const Variable names("LISTEN_FDNAMES", "public");
  const Passed passed({mute.get()});
  const auto refused = passed_socket("public");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().what == "fd:public: is not a listening socket");
}

TEST_CASE("sockets that were passed to another process are not ours, and no nonsense is believed") {
  const Variable count("LISTEN_FDS", "1");
  const Variable names("LISTEN_FDNAMES", "public");
  {
    const Variable pid("LISTEN_PID", std::to_string(getppid()));
    CHECK(passed_socket("public").error().what.find("LISTEN_PID") != std::string::npos);
  }
  const Variable pid("LISTEN_PID", std::to_string(getpid()));
  for (const char* nonsense : {"", "many", "-1", "0"}) {
    const Variable none("LISTEN_FDS", nonsense);
    CHECK_FALSE(passed_socket("public").has_value());
  }
  const Variable more("LISTEN_FDS", "3");  // more than there are names
  CHECK_FALSE(passed_socket("other").has_value());
}

}  // namespace
}  // namespace holdfast::server::test
