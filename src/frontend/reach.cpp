#include "frontend/reach.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::frontend {

namespace asio = boost::asio;

asio::awaitable<Result<Reached>> reach(SetupThread& thread,
                                       std::shared_ptr<const dial::Destination> destination,
                                       std::shared_ptr<const config::Address> address,
                                       std::string proxy_header, std::string request, TimePoint deadline,
                                       net::GiveUp* give_up) {
  const TimePoint started = Clock::now();
  auto connected =
      co_await dial::connect(thread.io(), destination, std::move(address), std::move(proxy_header),
                             *thread.surroundings().budget, deadline, give_up);
  if (!connected) co_return connected.error();
  thread.surroundings().cells->backend_connect_duration.observe(Clock::now() - started);
  std::unique_ptr<net::AsyncLeg> leg = std::move(connected.value());
  leg->expires_at(std::min(deadline, Clock::now() + destination->settings.handshake_timeout));
  auto exchanged = co_await dial::exchange(*leg, std::move(request));
  if (!exchanged) co_return exchanged.error();
  co_return Reached{std::move(leg), std::move(exchanged.value())};
}

namespace {

void judge(const SetupThread& thread, const dial::Destination& destination, upstream::Backend& backend,
           upstream::FailureKind kind, const std::string& what) {
  const auto change = destination.upstream->failed(backend, kind, what, Clock::now());
  if (change == upstream::Change::ejected)
    thread.surroundings().log->warn(upstream::ejection_sentence(backend, what));
}

}  // namespace

void note_failure(const SetupThread& thread, const dial::Destination& destination, upstream::Backend& backend,
                  const Error& error) {
  const auto kind = upstream::blame(error.failure);
  if (!kind || error.side != Side::backend) return;
  judge(thread, destination, backend, *kind, error.what);
}

void note_answer(const SetupThread& thread, const dial::Destination& destination, upstream::Seat& seat,
                 unsigned status) {
  if (status >= 500) {
    judge(thread, destination, seat.backend(), upstream::FailureKind::handshake_status,
          "answered " + std::to_string(status));
  } else {
    destination.upstream->succeeded(seat, upstream::Outlier::Answer::other);
  }
}

void note_misfit(upstream::Backend& backend, const std::string& what) {
  backend.count_failure(upstream::FailureKind::garbage, what);
}

}  // namespace holdfast::frontend
