#include "holdfast/net/async_leg.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>

namespace holdfast::net {

namespace asio = boost::asio;

// Lives as long as its timer's handler: an alarm that was already queued when its leg died finds `target`
// null.
struct AsyncLeg::Alarm {
  explicit Alarm(asio::io_context& io) : timer(io) {}
  asio::steady_timer timer;
  asio::posix::stream_descriptor* target = nullptr;
  TimePoint deadline = TimePoint::max();
  bool rang = false;
  bool cancelled = false;
};

AsyncLeg::AsyncLeg(asio::io_context& io, std::unique_ptr<Leg> leg, Side side)
    : leg_(std::move(leg)),
      waiter_(io, leg_->descriptor()),
      alarm_(std::make_shared<Alarm>(io)),
      side_(side) {
  alarm_->target = &waiter_;
}

AsyncLeg::~AsyncLeg() {
  obey(nullptr);
  alarm_->target = nullptr;
  alarm_->timer.cancel();
  if (leg_ != nullptr) waiter_.release();  // the leg closes it
}

void AsyncLeg::expires_at(TimePoint deadline) {
  alarm_->deadline = deadline;
  alarm_->rang = false;
  alarm_->timer.expires_at(deadline);
  alarm_->timer.async_wait([alarm = alarm_](const boost::system::error_code& error) {
    // A later expires_at has moved the deadline while this handler was queued: it is not ours to ring.
    if (error || alarm->target == nullptr || Clock::now() < alarm->deadline) return;
    alarm->rang = true;
    alarm->target->cancel();
  });
}

bool AsyncLeg::expired() const noexcept {
  return alarm_->rang;
}

void AsyncLeg::cancel() {
  alarm_->cancelled = true;
  if (leg_ != nullptr) waiter_.cancel();
}

void GiveUp::request() {
  requested_ = true;
  if (leg_ != nullptr) leg_->cancel();
}

void AsyncLeg::obey(GiveUp* give_up) {
  if (give_up_ != nullptr && give_up_->leg_ == this) give_up_->leg_ = nullptr;
  give_up_ = give_up;
  if (give_up == nullptr) return;
  give_up->leg_ = this;
  if (give_up->requested()) alarm_->cancelled = true;
}

bool AsyncLeg::peer_is_gone() const noexcept {
  pollfd state{leg_->descriptor(), POLLRDHUP, 0};
  return poll(&state, 1, 0) == 1 && (state.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

Error AsyncLeg::failure(Failure kind, std::string what) const {
  return {kind, side_, side_ == Side::backend ? Retry::other_backend : Retry::no, std::move(what)};
}

std::optional<Error> AsyncLeg::stopped() const {
  if (alarm_->cancelled) return failure(Failure::cancelled, "cancelled");
  if (alarm_->rang || Clock::now() >= alarm_->deadline) return failure(Failure::timeout, "timed out");
  return std::nullopt;
}

asio::awaitable<Result<void>> AsyncLeg::wait(Direction direction) {
  if (auto error = stopped()) co_return *error;
  unbroken_ = 0;
  const auto kind = direction == Direction::read ? asio::posix::descriptor_base::wait_read
                                                 : asio::posix::descriptor_base::wait_write;
  co_await waiter_.async_wait(kind, asio::as_tuple(asio::use_awaitable));
  if (alarm_->cancelled) co_return failure(Failure::cancelled, "cancelled");
  if (alarm_->rang) co_return failure(Failure::timeout, "timed out");
  co_return Result<void>{};
}

asio::awaitable<Result<void>> AsyncLeg::turn() {
  constexpr std::uint32_t longest_unbroken = 16;
  if (auto error = stopped()) co_return *error;
  if (++unbroken_ < longest_unbroken) co_return Result<void>{};
  unbroken_ = 0;
  co_await asio::post(waiter_.get_executor(), asio::use_awaitable);
  co_return Result<void>{};
}

asio::awaitable<Result<void>> AsyncLeg::readable() {
  return wait(Direction::read);
}

asio::awaitable<Result<void>> AsyncLeg::writable() {
  return wait(Direction::write);
}

asio::awaitable<Result<void>> AsyncLeg::handshake() {
  auto* tls = dynamic_cast<TlsLeg*>(leg_.get());
  if (tls == nullptr) co_return Result<void>{};
  for (;;) {
    const HandshakeStep step = tls->handshake();
    if (step == HandshakeStep::done) co_return Result<void>{};
    if (step == HandshakeStep::failed) co_return failure(Failure::tls, "TLS: " + tls->failure());
    const Direction direction = step == HandshakeStep::want_read ? Direction::read : Direction::write;
    Result<void> waited = co_await wait(direction);
    if (!waited) co_return waited;
  }
}

asio::awaitable<Result<std::size_t>> AsyncLeg::read_some(std::span<std::byte> into) {
  for (;;) {
    Result<void> goes_on = co_await turn();
    if (!goes_on) co_return goes_on.error();
    const IoResult got = leg_->read(into);
    if (got.bytes > 0) co_return got.bytes;
    if (got.state == IoState::end) co_return failure(Failure::eof, "connection closed");
    if (got.state == IoState::failed) co_return failure(Failure::eof, "connection reset");
    Result<void> waited = co_await wait(Direction::read);
    if (!waited) co_return waited.error();
  }
}

asio::awaitable<Result<void>> AsyncLeg::write_all(std::string_view bytes) {
  auto rest = std::as_bytes(std::span(bytes.data(), bytes.size()));
  while (!rest.empty()) {
    Result<void> goes_on = co_await turn();
    if (!goes_on) co_return goes_on;
    const IoResult sent = leg_->write(rest);
    rest = rest.subspan(sent.bytes);
    if (sent.state == IoState::failed) co_return failure(Failure::eof, "connection reset");
    if (sent.state == IoState::more) continue;
    Result<void> waited = co_await wait(Direction::write);
    if (!waited) co_return waited;
  }
  co_return Result<void>{};
}

asio::awaitable<void> AsyncLeg::linger() {
  constexpr std::chrono::seconds longest{2};
  expires_at(Clock::now() + longest);
  leg_->finish_writing();
  for (;;) {
    Result<void> goes_on = co_await turn();
    if (!goes_on) co_return;
    const IoState state = leg_->discard();
    if (state == IoState::end || state == IoState::failed) co_return;
    if (state == IoState::more) continue;
    Result<void> waited = co_await wait(Direction::read);
    if (!waited) co_return;
  }
}

std::unique_ptr<Leg> AsyncLeg::release() {
  obey(nullptr);
  alarm_->target = nullptr;
  alarm_->timer.cancel();
  waiter_.release();
  return std::move(leg_);
}

}  // namespace holdfast::net
