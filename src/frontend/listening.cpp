#include "frontend/listening.hpp"

#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>

namespace holdfast::frontend {

namespace asio = boost::asio;

namespace {
// Others of the thread get their turn after so many; the kernel keeps the rest in the queue.
constexpr int accepts_per_turn = 64;
// Out of descriptors or memory, or a socket that can't accept: the queue stays readable, and asking again at
// once would spin.
constexpr std::chrono::milliseconds pause_after_failure{100};
constexpr int most_drained = 65'536;

// accept(2): these are the fate of one connection that is gone already, not of the socket.
bool concerns_one_connection(int error) {
  return error == ECONNABORTED || error == EINTR || error == EPROTO || error == EPERM || error == ENETDOWN ||
         error == ENOPROTOOPT || error == EHOSTDOWN || error == ENONET || error == EHOSTUNREACH ||
         error == ENETUNREACH;
}
}  // namespace

SetupThread::Listening::Listening(SetupThread& thread, std::string key, net::Socket socket,
                                  net::Sharing sharing)
    : thread_(thread),
      key_(std::move(key)),
      socket_(std::move(socket)),
      sharing_(sharing),
      waiter_(thread.io_, socket_.get()),
      life_(std::make_shared<Life>()) {
  net::set_no_delay(socket_);  // Linux: what is accepted inherits it
  asio::co_spawn(thread.io_, accept_loop(this, life_), asio::detached);
}

SetupThread::Listening::~Listening() {
  life_->over = true;
  waiter_.cancel();
  waiter_.release();
}

asio::awaitable<void> SetupThread::Listening::accept_loop(Listening* self, std::shared_ptr<Life> life) {
  asio::steady_timer pause(self->thread_.io_);
  while (!life->over) {
    co_await self->waiter_.async_wait(asio::posix::descriptor_base::wait_read,
                                      asio::as_tuple(asio::use_awaitable));
    if (life->over) co_return;
    for (int n = 0; n < accepts_per_turn; ++n) {
      const Outcome outcome = self->accept_one();
      if (outcome == Outcome::empty) break;
      if (outcome == Outcome::accepted) continue;
      pause.expires_after(pause_after_failure);
      co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
      break;
    }
  }
}

SetupThread::Listening::Outcome SetupThread::Listening::accept_one() {
  Accepted accepted;
  accepted.peer.length = sizeof accepted.peer.storage;
  const int descriptor = accept4(socket_.get(), reinterpret_cast<sockaddr*>(&accepted.peer.storage),
                                 &accepted.peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (descriptor < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return Outcome::empty;
    return concerns_one_connection(errno) ? Outcome::accepted : Outcome::failed;
  }
  accepted.socket = net::Socket(descriptor);
  accepted.socket.charge(*thread_.surroundings_.budget);
  accepted.listener = key_;
  accepted.serving = thread_.surroundings_.present->get();
  accepted.when = Clock::now();
  if (sharing_ == net::Sharing::reuse_port) {
    thread_.begin(std::move(accepted));
    return Outcome::accepted;
  }
  const auto& all = thread_.surroundings_.all;
  SetupThread& next = *all[thread_.next_adopter_++ % all.size()];
  next.adopt(std::move(accepted));
  return Outcome::accepted;
}

void SetupThread::Listening::drain() {
  for (int n = 0; n < most_drained && accept_one() == Outcome::accepted; ++n) {
  }
}

}  // namespace holdfast::frontend
