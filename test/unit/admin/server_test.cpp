// The real server on a free port; the clients are the blocking one and bare sockets.
#include "holdfast/admin/server.hpp"

#include <doctest/doctest.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <filesystem>
#include <future>
#include <thread>

#include "holdfast/admin/client.hpp"
#include "unit/admin/fake_control.hpp"

namespace holdfast::admin::test {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

config::Admin on(const std::string& bind, const std::string& token = "") {
  config::Admin out;
  std::string why;
  out.bind = config::parse_address(bind, config::AddressUse::bind, why);
  out.token = token;
  return out;
}

// Runs a server on a thread of its own, as the control thread does.
class Running {
 public:
  explicit Running(const config::Admin& settings) {
    apply(settings);
    thread_ = std::thread([this] { io_.run(); });
  }
  ~Running() {
    on_thread([this] { server_.close(); });
    work_.reset();
    thread_.join();
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  void apply(const config::Admin& settings) { REQUIRE(server_.apply(settings).has_value()); }

  template <class Work>
  void on_thread(Work work) {
    std::promise<void> done;
    asio::post(io_, [&] {
      work();
      done.set_value();
    });
    done.get_future().get();
  }

  std::uint16_t port() {
    std::uint16_t out = 0;
    on_thread([&] { out = server_.port(); });
    return out;
  }
  std::string url() { return "http://127.0.0.1:" + std::to_string(port()) + "/"; }
  Server& server() { return server_; }
  std::vector<std::string> calls() {
    std::vector<std::string> out;
    on_thread([&] { out = control_.calls; });
    return out;
  }

 private:
  asio::io_context io_;
  asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(io_);
  FakeControl control_;
  Server server_{io_, control_};
  std::thread thread_;
};

// Sends bytes as they are and reads until the server closes.
class Raw {
 public:
  explicit Raw(std::uint16_t port) { socket_.connect({asio::ip::address_v4::loopback(), port}); }

  void send(const std::string& bytes) {
    boost::system::error_code ignored;  // the server may have had enough
    asio::write(socket_, asio::buffer(bytes), ignored);
  }
  std::string read_all() {
    std::string out;
    boost::system::error_code error;
    asio::read(socket_, asio::dynamic_buffer(out), error);
    CHECK(error == asio::error::eof);
    return out;
  }

 private:
  asio::io_context io_;
  tcp::socket socket_{io_};
};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("the client reads an endpoint and changes a state") {
  Running running(on("127.0.0.1:0", "word"));
  const Access access{running.url(), "word"};
  const auto status = get(access, "/status");
  REQUIRE(status.has_value());
  CHECK(status->status == 200);
  CHECK(contains(status->body, "0.1.0"));
  const auto drained = post(access, "/upstreams/chat/backends/b%3A1/draining");
  REQUIRE(drained.has_value());
  CHECK(drained->status == 200);
  CHECK(running.calls() == std::vector<std::string>{"chat b:1 draining"});
  CHECK(get({running.url(), "wrong"}, "/status")->status == 401);
}

TEST_CASE("the client tells why it got no answer") {
  CHECK(contains(get({"http://127.0.0.1:1", ""}, "/status").error().what, "refused"));
  CHECK(contains(get({"ftp://x", ""}, "/status").error().what, "an admin URL is"));
}

TEST_CASE("a connection is kept alive and pipelined requests are answered in order") {
  Running running(on("127.0.0.1:0"));
  Raw client(running.port());
  client.send(
      "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /none HTTP/1.1\r\nHost: localhost\r\n\r\n"
      "HEAD /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  const std::string answers = client.read_all();
  const std::size_t not_found = answers.find("404 Not Found");
  REQUIRE(not_found != std::string::npos);
  CHECK(answers.find("{\"alive\":true}") < not_found);
  // The answer to HEAD has the length and no body.
  CHECK(answers.rfind("Content-Length: 15") > not_found);
  CHECK(answers.substr(answers.size() - 4) == "\r\n\r\n");
}

TEST_CASE("broken and oversized requests are answered and the connection ends") {
  Running running(on("127.0.0.1:0"));
  const auto answer = [&running](const std::string& bytes) {
    Raw client(running.port());
    client.send(bytes);
    return client.read_all();
  };
  CHECK(contains(answer("nonsense\r\n\r\n"), "400 Bad Request"));
  CHECK(contains(answer("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n"),
                 "400 Bad Request"));
  CHECK(contains(answer("GET / HTTP/1.1\r\nX: " + std::string(9000, 'x') + "\r\n\r\n"), " 431 "));
  CHECK(
      contains(answer("POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 70000\r\n\r\n"), " 413 "));
  CHECK(contains(answer("DELETE /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
                 "Allow: GET, HEAD"));
}

TEST_CASE("connections above the limit are told so") {
  Running running(on("127.0.0.1:0"));
  const std::uint16_t port = running.port();
  std::vector<std::unique_ptr<Raw>> idle;
  for (int i = 0; i < 32; ++i) idle.push_back(std::make_unique<Raw>(port));
  Raw one_more(port);
  one_more.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(contains(one_more.read_all(), "503 Service Unavailable"));
}

TEST_CASE("a new bind replaces the old one, a bad one keeps it") {
  Running running(on("127.0.0.1:0"));
  const std::string url = running.url();
  asio::io_context io;
  const tcp::acceptor taken(io, {asio::ip::address_v4::loopback(), 0});
  running.on_thread([&] {
    const auto result =
        running.server().apply(on("127.0.0.1:" + std::to_string(taken.local_endpoint().port())));
    CHECK(result.has_error());
    CHECK(contains(result.error().what, "can't listen on"));
  });
  CHECK(get({url, ""}, "/healthz")->status == 200);
  running.on_thread([&] { running.apply(on("[::1]:0", "t")); });
  CHECK(get({url, ""}, "/healthz").has_error());
  CHECK(get({"http://[::1]:" + std::to_string(running.port()), "t"}, "/status")->status == 200);
  running.on_thread([&] { running.apply(config::Admin{}); });
  CHECK(running.port() == 0);
}

TEST_CASE("a unix socket works, is private, replaces a stale file and is removed") {
  std::string directory = (std::filesystem::temp_directory_path() / "holdfast-admin-XXXXXX").string();
  REQUIRE(::mkdtemp(directory.data()) != nullptr);
  const std::string path = directory + "/admin.sock";
  {
    asio::io_context io;
    asio::local::stream_protocol::acceptor stale(io, path);
  }
  REQUIRE(std::filesystem::exists(path));
  {
    Running running(on("unix:" + path));
    CHECK(std::filesystem::status(path).permissions() == std::filesystem::perms(0600));
    const auto answer = get({"unix:" + path, ""}, "/status");
    REQUIRE(answer.has_value());
    CHECK(answer->status == 200);
  }
  CHECK_FALSE(std::filesystem::exists(path));
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace holdfast::admin::test
