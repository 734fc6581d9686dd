#include "holdfast/net/async_leg.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>
#include <tuple>

namespace holdfast::net {

namespace asio = boost::asio;

// Lives as long as its timer's handler: an alarm that was already queued when its leg died finds `leg` null.
struct AsyncLeg::Alarm {
  Alarm(const asio::any_io_executor& executor, AsyncLeg& of) : timer(executor), leg(&of) {}
  asio::steady_timer timer;
  AsyncLeg* leg;
  TimePoint set_to = TimePoint::max();
};

AsyncLeg::AsyncLeg(asio::io_context& io, std::unique_ptr<Leg> leg, Side side)
    : leg_(std::move(leg)), waiter_(io), side_(side) {}

AsyncLeg::~AsyncLeg() {
  let_go();
}

void AsyncLeg::expires_at(TimePoint deadline) noexcept {
  deadline_ = deadline;
}

void AsyncLeg::set_alarm() {
  if (deadline_ == TimePoint::max()) return;
  if (alarm_ == nullptr) alarm_ = std::make_shared<Alarm>(waiter_.get_executor(), *this);
  // A deadline that was put off is looked at when the alarm goes off: moving a timer is dearer.
  if (deadline_ >= alarm_->set_to) return;
  alarm_->set_to = deadline_;
  alarm_->timer.expires_at(deadline_);
  alarm_->timer.async_wait([alarm = alarm_](const boost::system::error_code& error) {
    if (error || alarm->leg == nullptr) return;
    AsyncLeg& leg = *alarm->leg;
    alarm->set_to = TimePoint::max();
    if (Clock::now() < leg.deadline_) {
      leg.set_alarm();
      return;
    }
    boost::system::error_code ignored;
    leg.waiter_.cancel(ignored);
  });
}

boost::system::error_code AsyncLeg::register_once() {
  boost::system::error_code error;
  if (!waiter_.is_open()) waiter_.assign(leg_->descriptor(), error);
  return error;
}

void AsyncLeg::cancel() {
  cancelled_ = true;
  boost::system::error_code ignored;  // nobody may be waiting
  waiter_.cancel(ignored);
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
  if (give_up->requested()) cancelled_ = true;
}

bool AsyncLeg::peer_is_gone() const noexcept {
  pollfd state{leg_->descriptor(), POLLRDHUP, 0};
  return poll(&state, 1, 0) == 1 && (state.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

config::SocketAddress AsyncLeg::local_address() const noexcept {
  return net::local_address(leg_->descriptor());
}

Error AsyncLeg::failure(Failure kind, std::string what) const {
  return {kind, side_, side_ == Side::backend ? Retry::other_backend : Retry::no, std::move(what)};
}

std::optional<Error> AsyncLeg::stopped() const {
  if (cancelled_) return failure(Failure::cancelled, "cancelled");
  if (Clock::now() >= deadline_) return failure(Failure::timeout, "timed out");
  return std::nullopt;
}

asio::awaitable<Result<void>> AsyncLeg::wait(Direction direction) {
  if (auto error = stopped()) co_return *error;
  unbroken_ = 0;
  if (const auto error = register_once()) {
    co_return Error{Failure::internal, Side::us, Retry::no, "cannot wait: " + error.message()};
  }
  set_alarm();
  const auto kind = direction == Direction::read ? asio::posix::descriptor_base::wait_read
                                                 : asio::posix::descriptor_base::wait_write;
  const auto waited = co_await waiter_.async_wait(kind, asio::as_tuple(asio::use_awaitable));
  if (cancelled_) co_return failure(Failure::cancelled, "cancelled");
  if (std::get<0>(waited))
    co_return failure(Failure::timeout, "timed out");  // by the alarm: nobody else cancels a wait
  co_return Result<void>{};
}

asio::awaitable<void> AsyncLeg::give_way() {
  unbroken_ = 0;
  co_await asio::post(waiter_.get_executor(), asio::use_awaitable);
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

template <class Read>
asio::awaitable<Result<std::size_t>> AsyncLeg::read_by(Read read) {
  for (;;) {
    if (auto error = stopped()) co_return *error;
    if (should_give_way() || answer_follows_) {
      looked_again_ |= std::exchange(answer_follows_, false);
      co_await give_way();
    }
    const IoResult got = read();
    if (got.bytes > 0) co_return got.bytes;
    if (got.state == IoState::end) co_return failure(Failure::eof, "connection closed");
    if (got.state == IoState::failed) co_return failure(Failure::eof, "connection reset");
    // Under load it is there once the others had their turn; then the reactor never learns of this leg.
    if (!looked_again_ && !waiter_.is_open()) {
      looked_again_ = true;
      co_await give_way();
      continue;
    }
    Result<void> waited = co_await wait(Direction::read);
    if (!waited) co_return waited.error();
  }
}

asio::awaitable<Result<std::size_t>> AsyncLeg::read_some(std::span<std::byte> into) {
  return read_by([this, into] { return leg_->read(into); });
}

asio::awaitable<Result<std::size_t>> AsyncLeg::read_onto(std::string& bytes) {
  return read_by([this, &bytes] {
    std::array<std::byte, 4096> chunk;
    const IoResult got = leg_->read(chunk);
    bytes.append(reinterpret_cast<const char*>(chunk.data()), got.bytes);
    return got;
  });
}

asio::awaitable<Result<void>> AsyncLeg::write_all(std::string_view bytes) {
  auto rest = std::as_bytes(std::span(bytes.data(), bytes.size()));
  while (!rest.empty()) {
    if (auto error = stopped()) co_return *error;
    if (should_give_way()) co_await give_way();
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
    if (stopped()) co_return;
    if (should_give_way()) co_await give_way();
    const IoState state = leg_->discard();
    if (state == IoState::end || state == IoState::failed) co_return;
    if (state == IoState::more) continue;
    Result<void> waited = co_await wait(Direction::read);
    if (!waited) co_return;
  }
}

std::unique_ptr<Leg> AsyncLeg::release() {
  let_go();
  return std::move(leg_);
}

void AsyncLeg::let_go() {
  obey(nullptr);
  if (alarm_ != nullptr) {
    alarm_->leg = nullptr;
    alarm_->timer.cancel();
    alarm_.reset();
  }
  if (waiter_.is_open()) waiter_.release();  // the leg closes it
}

}  // namespace holdfast::net
