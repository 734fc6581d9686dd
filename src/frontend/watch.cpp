#include "frontend/watch.hpp"

#include <utility>

namespace holdfast::frontend {

namespace asio = boost::asio;

namespace {
constexpr std::chrono::milliseconds unwatched{20};
constexpr std::chrono::milliseconds look_period{200};
}  // namespace

void Watches::add(Watch& watch) {
  watch.before_ = last_;
  (last_ == nullptr ? first_ : last_->after_) = &watch;
  last_ = &watch;
  if (!timer_is_set_) set_timer(watch.due_);
}

void Watches::remove(Watch& watch) noexcept {
  (watch.before_ == nullptr ? first_ : watch.before_->after_) = watch.after_;
  (watch.after_ == nullptr ? last_ : watch.after_->before_) = watch.before_;
  watch.before_ = watch.after_ = nullptr;
}

// The timer belongs to its handler, so that it dies with the io_context.
void Watches::set_timer(TimePoint when) {
  timer_is_set_ = true;
  auto timer = std::make_unique<asio::steady_timer>(io_, when);
  auto& due = *timer;
  due.async_wait([this, timer = std::move(timer)](const boost::system::error_code& error) {
    if (!error) begin_due();
  });
}

void Watches::begin_due() {
  timer_is_set_ = false;
  const TimePoint now = Clock::now();
  while (first_ != nullptr && first_->due_ <= now) {
    Watch& watch = *first_;
    remove(watch);
    watch.begin();
  }
  if (first_ != nullptr) set_timer(first_->due_);
}

Watch::Watch(Watches& watches, net::AsyncLeg& client)
    : watches_(watches), client_(client), due_(Clock::now() + unwatched) {
  watches_.add(*this);
}

Watch::~Watch() {
  if (self_ != nullptr) {
    *self_ = nullptr;
  } else {
    watches_.remove(*this);
  }
}

void Watch::begin() {
  self_ = std::make_shared<Watch*>(this);
  client_.when_readable([self = self_](const boost::system::error_code& error) {
    if (!error && *self != nullptr) (*self)->look();
  });
}

// Early bytes, or a close_notify in front of the FIN, keep the socket readable: from then on it is looked at
// now and then.
void Watch::look() {
  if (client_.peer_is_gone()) {
    give_up_.request();
    if (const auto sleeper = sleeper_.lock()) sleeper->cancel();
    return;
  }
  if (!again_) again_.emplace(watches_.io_);
  again_->expires_after(look_period);
  again_->async_wait([self = self_](const boost::system::error_code& error) {
    if (!error && *self != nullptr) (*self)->look();
  });
}

}  // namespace holdfast::frontend
