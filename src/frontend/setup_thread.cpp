#include "holdfast/frontend/setup_thread.hpp"

#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>

#include "frontend/common_fields.hpp"
#include "frontend/connection.hpp"
#include "frontend/desk.hpp"
#include "frontend/gate.hpp"
#include "frontend/identity.hpp"
#include "frontend/listening.hpp"
#include "frontend/watch.hpp"

namespace holdfast::frontend {

namespace asio = boost::asio;

namespace {
// A burst of handshakes must not take the CPU from the pumps.
constexpr int niceness = 19;
constexpr std::chrono::milliseconds lag_period{500};
constexpr std::uint64_t worth_trimming = 256;  // connections

struct Handovers final : session::ShardItem {
  explicit Handovers(std::vector<std::unique_ptr<session::Handover>> of_a_turn) : all(std::move(of_a_turn)) {}
  std::vector<std::unique_ptr<session::Handover>> all;

  void deliver_to(session::Shard& shard) noexcept override {
    for (const auto& each : all) each->deliver_to(shard);
  }
};
}  // namespace

SetupThread::SetupThread()
    : randomness_(std::make_unique<Randomness>()),
      watches_(std::make_unique<Watches>(io_)),
      desk_(std::make_unique<Desk>(*this)) {}
SetupThread::~SetupThread() = default;

void SetupThread::start(Surroundings surroundings) {
  surroundings_ = std::move(surroundings);
  tls_gate_ = std::make_unique<Gate>(surroundings_.tls_handshakes);
  common_fields_ = std::make_unique<CommonFields>();
  ready_.resize(surroundings_.shards.size());
  thread_ = std::thread([this] {
    const bool for_reroutes = surroundings_.duty == Duty::reroutes;
    pthread_setname_np(
        pthread_self(),
        ((for_reroutes ? "reroute-" : "setup-") + std::to_string(surroundings_.index)).c_str());
    if (!for_reroutes) setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), niceness);
    const auto work = asio::make_work_guard(io_);
    measure_lag();
    io_.run();
  });
}

void SetupThread::stop() noexcept {
  io_.stop();
}

void SetupThread::join() {
  if (thread_.joinable()) thread_.join();
  listening_.clear();
}

std::future<void> SetupThread::listen(std::string key, net::Socket socket, net::Sharing sharing) {
  std::promise<void> done;
  std::future<void> when_done = done.get_future();
  asio::post(io_, [this, key = std::move(key), socket = std::move(socket), sharing,
                   done = std::move(done)]() mutable {
    listening_.push_back(std::make_unique<Listening>(*this, std::move(key), std::move(socket), sharing));
    done.set_value();
  });
  return when_done;
}

std::future<void> SetupThread::unlisten(std::string key) {
  std::promise<void> done;
  std::future<void> when_done = done.get_future();
  asio::post(io_, [this, key = std::move(key), done = std::move(done)]() mutable {
    std::erase_if(listening_, [&](const std::unique_ptr<Listening>& each) {
      if (each->key() != key) return false;
      each->drain();
      return true;
    });
    done.set_value();
  });
  return when_done;
}

void SetupThread::adopt(Accepted accepted) {
  asio::post(io_, [this, accepted = std::move(accepted)]() mutable { begin(std::move(accepted)); });
}

void SetupThread::ask(std::unique_ptr<session::Attempt> attempt) noexcept {
  asio::post(io_, [this, attempt = std::move(attempt)]() mutable { desk_->take(std::move(attempt)); });
}

void SetupThread::begin(Accepted accepted) {
  ++begun_;
  // So near the limit that not even an answer is possible.
  if (surroundings_.budget->used() > surroundings_.hard_descriptors) return;
  try {
    asio::co_spawn(io_, serve(*this, std::make_unique<Connection>(*this, std::move(accepted))),
                   asio::detached);
  } catch (const std::exception& problem) {
    // Out of memory or epoll watches: this connection is lost, the listener is not.
    surroundings_.log->warn(std::string("a connection was dropped: ") + problem.what());
  }
}

void SetupThread::hand_over(std::size_t shard, std::unique_ptr<session::Handover> ready) {
  surroundings_.shards[shard]->expect_one();
  ready_[shard].push_back(std::move(ready));
  if (ready_count_++ == 0) asio::post(io_, [this] { send_ready(); });
}

void SetupThread::send_ready() {
  ready_count_ = 0;
  for (std::size_t shard = 0; shard < ready_.size(); ++shard) {
    if (ready_[shard].empty()) continue;
    surroundings_.shards[shard]->send(std::make_unique<Handovers>(std::exchange(ready_[shard], {})));
  }
}

// A storm of handshakes leaves free pages behind that nobody needs until the next one.
void SetupThread::give_back_memory() {
  const bool is_calm = begun_ == begun_before_;
  begun_before_ = begun_;
  if (!is_calm || begun_ - begun_trimmed_ < worth_trimming) return;
  begun_trimmed_ = begun_;
  malloc_trim(0);
}

// How late a due timer runs is how long a connection had to wait for the others of this thread.
void SetupThread::measure_lag() {
  auto timer = std::make_unique<asio::steady_timer>(io_, lag_period);
  auto& due = *timer;
  due.async_wait([this, timer = std::move(timer)](const boost::system::error_code& error) {
    if (error) return;
    surroundings_.cells->loop_lag.observe(Clock::now() - timer->expiry());
    give_back_memory();
    measure_lag();
  });
}

}  // namespace holdfast::frontend
