#include "holdfast/net/send_batch.hpp"

#include <liburing.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <bit>
#include <cerrno>

#include "net/tcp.hpp"

namespace holdfast::net {

namespace {

// Below it the ring costs more than it saves.
constexpr std::size_t least_for_ring = 4;
constexpr std::size_t smallest_ring = 64;
constexpr int most_tries = 1000;
constexpr int flags = MSG_NOSIGNAL | MSG_DONTWAIT;

std::size_t bytes_of(Leg::Pieces pieces) noexcept {
  std::size_t bytes = 0;
  for (const auto& piece : pieces) bytes += piece.size();
  return bytes;
}

}  // namespace

struct SendBatch::Ring {
  io_uring ring{};
  std::size_t entries;
  bool is_open = false;
  std::vector<msghdr> messages;
  std::vector<iovec> vectors;

  explicit Ring(std::size_t wanted) noexcept : entries(wanted) {
    const auto size = static_cast<unsigned>(entries);
    io_uring_params params{};
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN;
    is_open = io_uring_queue_init_params(size, &ring, &params) == 0;
    if (is_open) return;
    params = {};  // before Linux 6.0
    is_open = io_uring_queue_init_params(size, &ring, &params) == 0;
  }
  ~Ring() {
    if (is_open) io_uring_queue_exit(&ring);
  }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
};

SendBatch::SendBatch(Mode mode) : mode_(mode) {}

SendBatch::~SendBatch() = default;

bool SendBatch::make_ring() noexcept {
  if (mode_ != Mode::ring) return false;
  // The largest one is 400 KB, which a few subscribers are not worth.
  const std::size_t entries = std::clamp(std::bit_ceil(jobs_.size()), smallest_ring, best_size);
  if (ring_ != nullptr && ring_->entries >= entries) return true;
  ring_.reset();
  ring_ = std::make_unique<Ring>(entries);
  if (ring_->is_open) return true;
  ring_.reset();
  mode_ = Mode::sends;  // not allowed here: it is not tried again
  return false;
}

void SendBatch::send_all() noexcept {
  if (jobs_.size() >= least_for_ring && make_ring()) return send_by_ring();
  for (Job& job : jobs_) job.result = job.leg->write_gathered(pieces_of(job));
}

void SendBatch::send_by_ring() noexcept {
  // Sized first: the kernel is given addresses in both.
  Ring& mine = *ring_;
  mine.messages.clear();
  mine.vectors.clear();
  mine.messages.reserve(jobs_.size());
  mine.vectors.reserve(pieces_.size());
  unsigned submitted = 0;
  for (std::size_t n = 0; n < jobs_.size(); ++n) {
    Job& job = jobs_[n];
    const Leg::Pieces pieces = pieces_of(job);
    io_uring_sqe* const entry = job.leg->is_bare() ? io_uring_get_sqe(&mine.ring) : nullptr;
    if (entry == nullptr) {
      job.result = job.leg->write_gathered(pieces);
      continue;
    }
    if (pieces.size() == 1) {
      io_uring_prep_send(entry, job.leg->descriptor(), pieces[0].data(), pieces[0].size(), flags);
    } else {
      const std::size_t first = mine.vectors.size();
      for (const auto& piece : pieces)
        mine.vectors.push_back({const_cast<std::byte*>(piece.data()), piece.size()});
      msghdr& message = mine.messages.emplace_back();
      message.msg_iov = mine.vectors.data() + first;
      message.msg_iovlen = pieces.size();
      io_uring_prep_sendmsg(entry, job.leg->descriptor(), &message, flags);
    }
    io_uring_sqe_set_data64(entry, n);
    job.result = {0, IoState::failed};
    ++submitted;
  }
  unsigned done = 0;
  for (int tries = 0; done < submitted; ++tries) {
    // They don't wait, so all are done when the call returns.
    const int outcome = io_uring_submit_and_wait(&mine.ring, submitted - done);
    const bool may_pass = outcome == -EINTR || outcome == -EAGAIN || outcome == -EBUSY;
    if (outcome < 0 && (!may_pass || tries == most_tries)) {
      // What it still has must not be sent from memory that is gone: those legs have failed.
      ring_.reset();
      mode_ = Mode::sends;
      return;
    }
    io_uring_cqe* result = nullptr;
    unsigned head = 0;
    unsigned seen = 0;
    io_uring_for_each_cqe(&mine.ring, head, result) {
      Job& job = jobs_[io_uring_cqe_get_data64(result)];
      if (result->res >= 0) {
        const auto taken = static_cast<std::size_t>(result->res);
        job.result = {taken, taken < bytes_of(pieces_of(job)) ? IoState::drained : IoState::more};
      } else if (tcp::would_block(-result->res)) {
        job.result = {0, IoState::drained};
      }
      ++seen;
    }
    io_uring_cq_advance(&mine.ring, seen);
    done += seen;
  }
}

}  // namespace holdfast::net
