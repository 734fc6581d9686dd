#include "holdfast/server/demo.hpp"

#include <cassert>
#include <csignal>
#include <cstdio>
#include <memory>
#include <thread>
#include <vector>

#include "holdfast/net/tls.hpp"
#include "holdfast/server/server.hpp"
#include "server/crowd.hpp"
#include "server/demo_check.hpp"
#include "server/echo.hpp"
#include "server/market.hpp"

namespace holdfast::server {

namespace {

constexpr int backend_count = 3;
constexpr std::uint64_t market_seed = 20;

config::Address address(const std::string& text, config::AddressUse use) {
  std::string why;
  return config::parse_address(text, use, why).value();
}

config::Listener listener(const std::string& name, const std::string& bind) {
  config::Listener made;
  made.name = name;
  made.bind = address(bind, config::AddressUse::bind);
  return made;
}

// A port that people can type, if it is free; else any.
std::string preferred(const char* port, DemoMode mode) {
  const std::string text = std::string("127.0.0.1:") + port;
  if (mode == DemoMode::check) return "127.0.0.1:0";
  const config::Address wanted = address(text, config::AddressUse::bind);
  return net::listen_on(wanted.sockets.front(), net::Sharing::exclusive) ? text : "127.0.0.1:0";
}

// One source connection for all symbols and all clients, who speak Binance's protocol.
config::Feed market_feed(const MarketSource& market) {
  config::Feed feed;
  feed.name = "market";
  feed.dialect = "binance";
  const std::string why = config::parse_source_url(market.url(), feed.source.urls.emplace_back());
  assert(why.empty());
  return feed;
}

config::Config demo_config(DemoMode mode, const config::Certificate& certificate,
                           const std::vector<std::unique_ptr<EchoBackend>>& backends,
                           const MarketSource& market) {
  config::Config config;
  config.workers = 1;
  config::Listener secure = listener("wss", preferred("8443", mode));
  secure.tls = config::ListenerTls{};
  secure.tls->certificates.push_back(certificate);
  config.listeners.push_back(std::move(secure));
  config.listeners.push_back(listener("ws", preferred("8080", mode)));
  config::Upstream upstream;
  upstream.name = "echo";
  for (const auto& backend : backends) {
    config::BackendConfig member;
    member.address = address(backend->address(), config::AddressUse::backend);
    upstream.backends.push_back(std::move(member));
  }
  config.upstreams.push_back(std::move(upstream));
  config.feeds.push_back(market_feed(market));
  for (const auto& [name, path] : {std::pair("raw", "/ws*"), std::pair("combined", "/stream")}) {
    config::Route prices;
    prices.name = name;
    prices.path = path;
    prices.feed = "market";
    config.routes.push_back(std::move(prices));
  }
  config::Route route;
  route.name = "default";
  route.upstream = "echo";
  config.routes.push_back(std::move(route));
  config.admin.bind = address(preferred("9900", mode), config::AddressUse::bind);
  config.log.level = mode == DemoMode::check ? config::LogLevel::error : config::LogLevel::info;
  config.log.access = mode == DemoMode::check ? "" : "-";
  config.shutdown_timeout = std::chrono::seconds(2);
  return config;
}

void print_welcome(const DemoAddresses& at, const std::vector<std::unique_ptr<EchoBackend>>& backends) {
  std::printf("holdfast demo: a proxy with %zu embedded echo backends (", backends.size());
  for (const auto& backend : backends)
    std::printf("%s%s %s", backend == backends.front() ? "" : ", ", backend->name().c_str(),
                backend->address().c_str());
  std::printf(")\n\n  wss://%s   TLS, certificate made in memory\n  ws://%s    plain\n", at.tls.c_str(),
              at.plain.c_str());
  std::printf("  ws://%s/ws/btcusdt@trade   a feed in Binance's dialect: one source connection for all\n",
              at.plain.c_str());
  std::printf("  http://%s  /metrics /status /readyz\n\n", at.admin.c_str());
  std::printf("Try:  python3 -m websockets ws://%s/   (Debian: apt install python3-websockets)\n",
              at.plain.c_str());
  std::printf("  or: python3 -m websockets ws://%s/ws, and say (20 symbols: ethusdt, solusdt ...)\n",
              at.plain.c_str());
  std::printf("      {\"method\":\"SUBSCRIBE\",\"params\":[\"ethusdt@ticker\"],\"id\":1}\n");
  std::printf("  or: npx wscat --no-check -c wss://%s/\n", at.tls.c_str());
  std::printf("  or: curl -s http://%s/status\n", at.admin.c_str());
  std::printf(
      "`holdfast demo --crowd 1000` has so many clients on the market's one source connection: see\n");
  std::printf(
      "`holdfast status`. Ctrl-C ends it. `holdfast demo --check` shows by itself that it works.\n\n");
  std::fflush(stdout);
}

}  // namespace

int run_demo(DemoMode mode, std::size_t crowd) {
  auto certificate = net::make_self_signed({"localhost", "127.0.0.1", "::1"});
  if (!certificate) {
    std::fprintf(stderr, "%s\n", certificate.error().what.c_str());
    return exit_failure;
  }
  // The backends' threads leave signals to the proxy's control thread.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::vector<std::unique_ptr<EchoBackend>> backends;
  for (int n = 0; n < backend_count; ++n) {
    auto backend = EchoBackend::start(std::string(1, static_cast<char>('A' + n)));
    if (!backend) {
      std::fprintf(stderr, "%s\n", backend.error().what.c_str());
      return exit_failure;
    }
    backends.push_back(std::move(backend.value()));
  }
  auto market = MarketSource::start(market_seed);
  if (!market) {
    std::fprintf(stderr, "%s\n", market.error().what.c_str());
    return exit_failure;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  Options options;
  options.built_in = demo_config(mode, certificate.value(), backends, *market.value());
  Server* running = nullptr;
  std::thread checker;
  std::unique_ptr<Crowd> guests;
  bool passed = true;
  options.on_ready = [&](const std::map<std::string, std::string>& bound, const std::string& admin) {
    const DemoAddresses at{bound.at("wss"), bound.at("ws"), admin, certificate.value().chain.pem};
    if (crowd != 0) guests = std::make_unique<Crowd>(at.plain, crowd);
    if (mode == DemoMode::serve) return print_welcome(at, backends);
    checker = std::thread([&, at] {
      passed = check_demo(at, [&](const std::string& name) {
        for (const auto& backend : backends) {
          if (backend->name() == name) backend->stop();
        }
      });
      running->terminate();
      running->terminate();
    });
  };
  Server server(std::move(options));
  running = &server;
  const int status = server.run();
  if (checker.joinable()) checker.join();
  if (mode == DemoMode::check)
    std::printf(passed && status == exit_ok ? "demo works\n" : "demo does not work\n");
  return passed ? status : exit_failure;
}

}  // namespace holdfast::server
