#include "server/demo_check.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdio>

#include "holdfast/admin/client.hpp"
#include "holdfast/dial/dial.hpp"
#include "holdfast/ws/handshake.hpp"
#include "holdfast/ws/walker.hpp"

namespace holdfast::server {

namespace asio = boost::asio;

namespace {

constexpr int crowd_size = 100;
constexpr std::chrono::seconds patience{10};
constexpr std::string_view sample_key = "dGhlIHNhbXBsZSBub25jZQ==";  // RFC 6455 section 1.3
constexpr ws::Mask any_mask = 0x5a17c3e9;
constexpr std::string_view greeting = "you are on ";

void step(std::string_view what) {
  std::printf("  ok    %.*s\n", static_cast<int>(what.size()), what.data());
}
void failed(std::string_view what, const std::string& why) {
  std::printf("  FAIL  %.*s: %s\n", static_cast<int>(what.size()), what.data(), why.c_str());
}

Error unexpected(std::string what) {
  return {Failure::garbage, Side::backend, Retry::no, std::move(what)};
}

// One WebSocket connection through the proxy.
class Client {
 public:
  [[nodiscard]] static asio::awaitable<Result<std::unique_ptr<Client>>> open(
      asio::io_context& io, std::shared_ptr<const dial::Destination> proxy, net::DescriptorBudget& budget) {
    auto opened = co_await handshake(io, proxy, budget, "/demo");
    if (!opened) co_return opened.error();
    std::unique_ptr<Client> client = std::move(opened.value());
    auto hello = co_await client->receive();
    if (!hello) co_return hello.error();
    if (!hello.value().starts_with(greeting)) co_return unexpected("no greeting but " + hello.value());
    client->backend_ = hello.value().substr(greeting.size());
    co_return client;
  }

  [[nodiscard]] static asio::awaitable<Result<std::unique_ptr<Client>>> handshake(
      asio::io_context& io, std::shared_ptr<const dial::Destination> proxy, net::DescriptorBudget& budget,
      std::string path) {
    auto client = std::make_unique<Client>();
    const config::Address address = proxy->settings.backends.front().address;
    auto leg = co_await dial::connect(io, proxy, address, {}, budget, Clock::now() + patience);
    if (!leg) co_return leg.error();
    client->leg_ = std::move(leg.value());
    client->leg_->expires_at(Clock::now() + patience);
    std::string request = "GET " + path +
                          " HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " +
                          std::string(sample_key) + "\r\n\r\n";
    auto answer = co_await dial::exchange(*client->leg_, std::move(request));
    if (!answer) co_return answer.error();
    const ws::ClientHandshake nothing_offered{};
    auto agreed = ws::check_answer(answer.value().head, nothing_offered, sample_key);
    if (!agreed) co_return unexpected(agreed.error().what);
    client->bytes_ = std::move(answer.value().behind);
    co_return client;
  }

  [[nodiscard]] const std::string& backend() const noexcept { return backend_; }

  [[nodiscard]] asio::awaitable<Result<void>> echo(std::string text) {
    std::string frame(ws::max_header_bytes, '\0');
    const auto room = std::as_writable_bytes(std::span(frame)).first<ws::max_header_bytes>();
    frame.resize(ws::write_header(
        room, {.opcode = ws::Opcode::text, .masked = true, .mask = any_mask, .payload = text.size()}));
    const auto* mask = reinterpret_cast<const char*>(&any_mask);
    for (std::size_t n = 0; n < text.size(); ++n)
      frame += static_cast<char>(text[n] ^ mask[n % sizeof any_mask]);
    auto written = co_await leg_->write_all(frame);
    if (!written) co_return written;
    auto back = co_await receive();
    if (!back) co_return back.error();
    if (back.value() != text) co_return unexpected("another text came back");
    co_return Result<void>{};
  }

  /// The next text message; an Error that names the code when a Close comes.
  [[nodiscard]] asio::awaitable<Result<std::string>> receive() {
    for (;;) {
      const auto rest = std::as_bytes(std::span(bytes_)).subspan(position_);
      const ws::Step next = walker_.next(rest, {});
      if (next.kind == ws::StepKind::violation)
        co_return unexpected(std::string(ws::describe(next.violation)));
      if (next.kind == ws::StepKind::control && next.header.opcode == ws::Opcode::close) {
        co_return unexpected("Close " +
                             std::to_string(ws::close_code(ws::control_payload(rest, next.header))));
      }
      if (next.kind == ws::StepKind::data) {
        const std::size_t head = next.starts_frame ? next.header.size : 0;
        text_.append(bytes_, position_ + head, next.size - head);
      }
      position_ += next.size;
      if (next.kind == ws::StepKind::data && walker_.at_message_boundary())
        co_return std::exchange(text_, {});
      if (next.kind != ws::StepKind::need_more) continue;
      const std::size_t before = bytes_.size();
      bytes_.resize(before + 4096);
      auto got = co_await leg_->read_some(std::as_writable_bytes(std::span(bytes_)).subspan(before));
      if (!got) co_return got.error();
      bytes_.resize(before + got.value());
    }
  }

 private:
  std::unique_ptr<net::AsyncLeg> leg_;
  ws::Walker walker_{ws::Sender::server};
  std::string bytes_;
  std::string text_;
  std::size_t position_ = 0;
  std::string backend_;
};

std::shared_ptr<const dial::Destination> towards(const std::string& address,
                                                 const std::string& certificate_pem) {
  auto destination = std::make_shared<dial::Destination>();
  std::string why;
  config::BackendConfig proxy;
  proxy.address = config::parse_address(address, config::AddressUse::backend, why).value();
  destination->settings.backends.push_back(std::move(proxy));
  if (!certificate_pem.empty()) {
    config::UpstreamTls tls;
    tls.ca = {"", certificate_pem};
    tls.server_name = "localhost";
    destination->tls = net::TlsClient::create(tls).value();
  }
  return destination;
}

asio::awaitable<bool> steps(asio::io_context& io, DemoAddresses addresses,
                            std::function<void(const std::string&)> kill) {
  net::DescriptorBudget budget(1024, 0);
  const auto secure = towards(addresses.tls, addresses.certificate_pem);
  auto first = co_await Client::open(io, secure, budget);
  if (!first) co_return failed("wss:// handshake", first.error().what), false;
  Client& client = *first.value();
  step("wss:// handshake through the proxy, certificate verified, session on " + client.backend());
  auto echoed = co_await client.echo("hello");
  if (!echoed) co_return failed("echo over TLS", echoed.error().what), false;
  step("a message goes to the backend and comes back");
  auto large = co_await client.echo(std::string(1 << 20, 'x'));
  if (!large) co_return failed("echo of 1 MiB", large.error().what), false;
  step("so does one of 1 MiB");
  auto plain = co_await Client::open(io, towards(addresses.plain, ""), budget);
  if (!plain) co_return failed("ws:// handshake", plain.error().what), false;
  if (plain.value()->backend() == client.backend())
    co_return failed("balancing", "both sessions on one backend"), false;
  step("ws:// works too, and least connections put it on another backend, " + plain.value()->backend());
  kill(client.backend());
  auto hello = co_await client.receive();  // each demo backend says its name first
  if (!hello) co_return failed("the session whose backend was killed", hello.error().what), false;
  auto outlives = co_await client.echo("are you still there");
  if (!outlives) co_return failed("the session whose backend was killed", outlives.error().what), false;
  step("backend " + client.backend() + " killed: its client's session goes on with another one");
  auto survivor = co_await plain.value()->echo("still here");
  if (!survivor) co_return failed("the other session", survivor.error().what), false;
  step("the other session is untouched");
  auto again = co_await Client::open(io, secure, budget);
  if (!again) co_return failed("new session", again.error().what), false;
  if (again.value()->backend() == client.backend())
    co_return failed("new session", "on the dead backend"), false;
  step("a new session goes to a living backend, " + again.value()->backend());
  std::vector<std::unique_ptr<Client>> crowd;
  for (int n = 0; n < crowd_size; ++n) {
    auto follower = co_await Client::handshake(io, towards(addresses.plain, ""), budget,
                                               "/stream?streams=btcusdt@ticker/btcusdt@trade");
    if (!follower) co_return failed("a feed's client", follower.error().what), false;
    crowd.push_back(std::move(follower.value()));
  }
  for (const auto& each : crowd) {
    auto news = co_await each->receive();
    if (!news) co_return failed("the market feed", news.error().what), false;
    if (!news.value().starts_with(R"({"stream":"btcusdt@)"))
      co_return failed("the market feed", news.value()), false;
  }
  step(std::to_string(crowd_size) + " clients of the market feed get its prices");
  const auto metrics = admin::get({"http://" + addresses.admin, ""}, "/metrics");
  if (!metrics || metrics.value().body.find("holdfast_sessions{") == std::string::npos) {
    co_return failed("metrics", metrics ? "no holdfast_sessions" : metrics.error().what), false;
  }
  if (metrics.value().body.find("holdfast_feed_source_connections{feed=\"market\"} 1\n") == std::string::npos)
    co_return failed("the market feed", "not one source connection"), false;
  step("http://" + addresses.admin + "/metrics counts them, and one source connection for the feed");
  co_return true;
}

}  // namespace

bool check_demo(const DemoAddresses& addresses, const std::function<void(const std::string&)>& kill_backend) {
  asio::io_context io(1);
  bool passed = false;
  asio::co_spawn(io, steps(io, addresses, kill_backend), [&](const std::exception_ptr& thrown, bool outcome) {
    passed = thrown == nullptr && outcome;
  });
  io.run();
  return passed;
}

}  // namespace holdfast::server
