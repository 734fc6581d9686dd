#include "holdfast/net/send_batch.hpp"

#include <liburing.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cerrno>

#include "net/tcp.hpp"

namespace holdfast::net {

namespace {

// Below it the ring costs more than it saves.
constexpr std::size_t least_for_ring = 4;
constexpr std::size_t smallest_ring = 64;
constexpr std::size_t most_ciphertext = 256UL * 1024;
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
  std::vector<std::byte> ciphertext;

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
  for (std::size_t first = 0; first < jobs_.size();) {
    const std::size_t end = seal_from(first);
    if (!submit(first, end)) {
      for (std::size_t n = end; n < jobs_.size(); ++n)
        jobs_[n].result = jobs_[n].leg->write_gathered(pieces_of(jobs_[n]));
      return;
    }
    first = end;
  }
}

// Returns where the next ones begin: as much ciphertext as the caches hold.
std::size_t SendBatch::seal_from(std::size_t first) noexcept {
  std::vector<std::byte>& ciphertext = ring_->ciphertext;
  ciphertext.clear();
  for (; first < jobs_.size() && ciphertext.size() < most_ciphertext; ++first) {
    Job& job = jobs_[first];
    const Leg::Pieces pieces = pieces_of(job);
    const std::size_t before = ciphertext.size();
    if (job.leg->is_bare() || bytes_of(pieces) > Leg::most_sealed_bytes) continue;
    if (!job.leg->seal(pieces, ciphertext)) continue;
    job.sealed_at = before;
    job.sealed_bytes = ciphertext.size() - before;
  }
  return first;
}

// False: the ring is gone, and with it what it has not sent.
bool SendBatch::submit(std::size_t first, std::size_t end) noexcept {
  // Sized first: the kernel is given addresses in both.
  Ring& mine = *ring_;
  mine.messages.clear();
  mine.vectors.clear();
  mine.messages.reserve(jobs_.size());
  mine.vectors.reserve(pieces_.size());
  unsigned submitted = 0;
  for (std::size_t n = first; n < end; ++n) {
    Job& job = jobs_[n];
    const Leg::Pieces pieces = pieces_of(job);
    const bool is_ready = job.sealed_bytes != 0 || job.leg->is_bare();
    io_uring_sqe* const entry = is_ready ? io_uring_get_sqe(&mine.ring) : nullptr;
    if (entry == nullptr) {
      assert(job.sealed_bytes == 0);  // the ring has an entry for each job
      job.result = job.leg->write_gathered(pieces);
      continue;
    }
    if (job.sealed_bytes != 0) {
      const std::byte* const data = mine.ciphertext.data() + job.sealed_at;
      io_uring_prep_send(entry, job.leg->descriptor(), data, job.sealed_bytes, flags);
    } else if (pieces.size() == 1) {
      io_uring_prep_send(entry, job.leg->descriptor(), pieces[0].data(), pieces[0].size(), flags);
    } else {
      const std::size_t begin = mine.vectors.size();
      for (const auto& piece : pieces)
        mine.vectors.push_back({const_cast<std::byte*>(piece.data()), piece.size()});
      msghdr& message = mine.messages.emplace_back();
      message.msg_iov = mine.vectors.data() + begin;
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
      return false;
    }
    io_uring_cqe* result = nullptr;
    unsigned head = 0;
    unsigned seen = 0;
    io_uring_for_each_cqe(&mine.ring, head, result) {
      take(jobs_[io_uring_cqe_get_data64(result)], result->res);
      ++seen;
    }
    io_uring_cq_advance(&mine.ring, seen);
    done += seen;
  }
  return true;
}

// `outcome`: bytes that the kernel took, or minus errno.
void SendBatch::take(Job& job, int outcome) noexcept {
  if (outcome < 0 && !tcp::would_block(-outcome)) return;
  const std::size_t taken = outcome < 0 ? 0 : static_cast<std::size_t>(outcome);
  const std::size_t wanted = bytes_of(pieces_of(job));
  if (job.sealed_bytes == 0) {
    job.result = {taken, taken < wanted ? IoState::drained : IoState::more};
    return;
  }
  job.result = {wanted, IoState::more};
  if (taken == job.sealed_bytes) return;
  job.leg->keep(std::span(ring_->ciphertext).subspan(job.sealed_at + taken, job.sealed_bytes - taken));
  job.result.state = IoState::drained;
}

}  // namespace holdfast::net
