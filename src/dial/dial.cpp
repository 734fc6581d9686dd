#include "holdfast/dial/dial.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace holdfast::dial {

namespace asio = boost::asio;
using net::AsyncLeg;

namespace {

constexpr int most_interim_heads = 8;

Error backend_failure(Failure failure, std::string what) {
  return {failure, Side::backend, Retry::other_backend, std::move(what)};
}

// One socket address: TCP, then TLS.
asio::awaitable<Result<std::unique_ptr<AsyncLeg>>> connect_one(
    asio::io_context& io, std::shared_ptr<const Destination> destination,
    std::shared_ptr<const config::Address> name, config::SocketAddress address, std::string proxy_header,
    net::DescriptorBudget& budget, TimePoint deadline, net::GiveUp* give_up) {
  auto started = destination->start_connect(address);
  if (!started) co_return started.error();
  net::Socket socket = std::move(started.value());
  socket.charge(budget);
  const int descriptor = socket.get();
  std::unique_ptr<net::Leg> made;
  if (destination->tls == nullptr) {
    made = net::make_plain_leg(std::move(socket));
  } else {
    made = net::make_tls_client_leg(std::move(socket), *destination->tls, name->host);
  }
  auto leg = std::make_unique<AsyncLeg>(io, std::move(made), Side::backend);
  leg->expires_at(deadline);
  leg->obey(give_up);
  // A backend of this machine is connected by now: nothing has to be waited for.
  int outcome = net::connect_outcome(descriptor, address);
  while (outcome == EALREADY) {
    auto writable = co_await leg->writable();
    if (!writable) {
      co_return backend_failure(writable.error().failure,
                                "connect to " + net::to_text(address) + ": " + writable.error().what);
    }
    outcome = net::connect_outcome(descriptor, address);
  }
  if (outcome != 0) {
    co_return backend_failure(Failure::refused,
                              "connect to " + net::to_text(address) + ": " + std::strerror(outcome));
  }
  if (!proxy_header.empty()) {
    auto written = net::write_first(descriptor, proxy_header);
    if (!written) co_return backend_failure(written.error().failure, "PROXY header: " + written.error().what);
  }
  if (destination->tls == nullptr) co_return leg;
  auto shaken = co_await leg->handshake();
  if (!shaken) {
    co_return backend_failure(shaken.error().failure, net::to_text(address) + ": " + shaken.error().what);
  }
  co_return leg;
}

// Of several, or of none.
asio::awaitable<Result<std::unique_ptr<AsyncLeg>>> connect_first(
    asio::io_context& io, std::shared_ptr<const Destination> destination,
    std::shared_ptr<const config::Address> address, std::string proxy_header, net::DescriptorBudget& budget,
    TimePoint end, net::GiveUp* give_up) {
  Result<std::unique_ptr<AsyncLeg>> outcome =
      backend_failure(Failure::refused, address->text + ": name not resolved");
  for (const config::SocketAddress& each : address->sockets) {
    outcome = co_await connect_one(io, destination, address, each, proxy_header, budget, end, give_up);
    if (outcome || outcome.error().retry == Retry::no || Clock::now() >= end) break;
    if (outcome.error().failure == Failure::cancelled) break;
  }
  co_return outcome;
}

}  // namespace

const config::BackendConfig* Destination::settings_of(const upstream::Backend& backend) const noexcept {
  const auto members = upstream->backends();
  const auto found = std::ranges::find(
      members, &backend, [](const std::shared_ptr<upstream::Backend>& each) { return each.get(); });
  if (found == members.end()) return nullptr;
  return &settings.backends[static_cast<std::size_t>(found - members.begin())];
}

Result<net::Socket> Destination::start_connect(const config::SocketAddress& to) const {
  auto started = sources == nullptr ? net::start_connect(to) : sources->start_connect(to);
  const bool ours = !started && started.error().side == Side::us;
  if (ours && upstream != nullptr) upstream->state().count_shortage();
  return started;
}

asio::awaitable<Result<std::unique_ptr<AsyncLeg>>> connect(asio::io_context& io,
                                                           std::shared_ptr<const Destination> destination,
                                                           std::shared_ptr<const config::Address> address,
                                                           std::string proxy_header,
                                                           net::DescriptorBudget& budget, TimePoint deadline,
                                                           net::GiveUp* give_up) {
  const TimePoint end = std::min(deadline, Clock::now() + destination->settings.connect_timeout);
  if (address->sockets.size() != 1) {
    return connect_first(io, std::move(destination), std::move(address), std::move(proxy_header), budget, end,
                         give_up);
  }
  const config::SocketAddress only = address->sockets.front();
  return connect_one(io, std::move(destination), std::move(address), only, std::move(proxy_header), budget,
                     end, give_up);
}

asio::awaitable<Result<std::unique_ptr<AsyncLeg>>> connect(asio::io_context& io,
                                                           std::shared_ptr<const Destination> destination,
                                                           config::Address address, std::string proxy_header,
                                                           net::DescriptorBudget& budget, TimePoint deadline,
                                                           net::GiveUp* give_up) {
  return connect(io, std::move(destination), std::make_shared<const config::Address>(std::move(address)),
                 std::move(proxy_header), budget, deadline, give_up);
}

asio::awaitable<Result<Answer>> exchange(AsyncLeg& leg, std::string request) {
  auto written = co_await leg.write_all(request);
  if (!written) co_return backend_failure(written.error().failure, "request: " + written.error().what);
  leg.expect_answer();
  std::string bytes;
  std::size_t searched = 0;
  int interim = 0;
  for (;;) {
    const std::size_t end = ws::find_head_end(bytes, searched);
    if (end == std::string::npos) {
      if (bytes.size() >= ws::max_head_bytes) {
        co_return backend_failure(Failure::garbage, "response head longer than 16 KiB");
      }
      searched = bytes.size();
      auto got = co_await leg.read_onto(bytes);
      if (!got) co_return backend_failure(got.error().failure, "response: " + got.error().what);
      continue;
    }
    auto head = ws::ResponseHead::parse(std::string_view(bytes).substr(0, end));
    if (!head) co_return backend_failure(Failure::garbage, head.error().what);
    bytes.erase(0, end);
    searched = 0;
    if (head.value().is_interim() && ++interim > most_interim_heads) {
      co_return backend_failure(Failure::garbage, "too many interim answers");
    }
    if (!head.value().is_interim()) co_return Answer{std::move(head.value()), std::move(bytes)};
  }
}

}  // namespace holdfast::dial
