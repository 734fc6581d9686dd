#include "probe/once.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "holdfast/net/proxy_header.hpp"

namespace holdfast::probe {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::milliseconds longest_parting{250};

Error refused(const config::SocketAddress& address, int error) {
  return failed(Failure::refused, "connect to " + net::to_text(address) + ": " + std::strerror(error));
}

// As dial::connect, but without TLS whatever the upstream has.
asio::awaitable<Result<std::unique_ptr<net::AsyncLeg>>> connect_tcp(asio::io_context& io,
                                                                    std::shared_ptr<const Target> target,
                                                                    net::DescriptorBudget& budget,
                                                                    TimePoint deadline) {
  Result<std::unique_ptr<net::AsyncLeg>> outcome =
      failed(Failure::refused, target->address.text + ": name not resolved");
  for (const config::SocketAddress& address : target->address.sockets) {
    auto started = target->destination->start_connect(address);
    if (!started) {
      outcome = started.error();
      continue;
    }
    started.value().charge(budget);
    const int descriptor = started.value().get();
    auto leg =
        std::make_unique<net::AsyncLeg>(io, net::make_plain_leg(std::move(started.value())), Side::backend);
    leg->expires_at(deadline);
    int error = net::connect_outcome(descriptor, address);
    while (error == EALREADY) {
      auto writable = co_await leg->writable();
      if (!writable)
        co_return failed(writable.error().failure,
                         "connect to " + net::to_text(address) + ": " + writable.error().what);
      error = net::connect_outcome(descriptor, address);
    }
    if (error == 0) co_return leg;
    outcome = refused(address, error);
  }
  co_return outcome;
}

}  // namespace

Error failed(Failure failure, std::string what) {
  return {failure, Side::backend, Retry::no, std::move(what)};
}

asio::awaitable<Report> probe_once(asio::io_context& io, std::shared_ptr<const Target> target,
                                   net::DescriptorBudget& budget) {
  const TimePoint deadline = Clock::now() + target->settings.timeout;
  const config::ProbeType type = target->settings.type;
  const bool plain_tcp = type == config::ProbeType::tcp || type == config::ProbeType::automatic;
  Report outcome;
  Result<std::unique_ptr<net::AsyncLeg>> connected = failed(Failure::internal, "not probed");
  if (plain_tcp) {
    connected = co_await connect_tcp(io, target, budget, deadline);
  } else {
    config::Address address = target->address;
    // Nobody stands behind a probe.
    std::string proxy_header =
        net::build_proxy_header(net::ProxyHeader{}, target->destination->settings.proxy_protocol);
    connected = co_await dial::connect(io, target->destination, std::move(address), std::move(proxy_header),
                                       budget, deadline);
  }
  if (!connected) {
    outcome.result = connected.error();
    outcome.ended = Clock::now();
    co_return outcome;
  }
  outcome.leg = std::move(connected.value());
  outcome.leg->expires_at(deadline);
  if (type == config::ProbeType::http) outcome.result = co_await ask_http(*outcome.leg, target);
  if (type == config::ProbeType::websocket) outcome.result = co_await ask_websocket(*outcome.leg, target);
  outcome.ended = Clock::now();
  // Nothing was said: its FIN is enough.
  if (plain_tcp) outcome.leg.reset();
  co_return outcome;
}

asio::awaitable<void> part(std::unique_ptr<net::AsyncLeg> leg) {
  leg->expires_at(Clock::now() + longest_parting);
  leg->leg().finish_writing();
  for (;;) {
    const net::IoState state = leg->leg().discard();
    if (state == net::IoState::end || state == net::IoState::failed) co_return;
    auto readable = co_await leg->readable();
    if (!readable) co_return;
  }
}

}  // namespace holdfast::probe
