#pragma once
// Many sends to many legs at once: what a thread that serves thousands of subscribers does in each turn. By
// io_uring, where the kernel allows it, thousands of sends are one system call (DECISIONS.md has what it
// saves), of TLS legs, too, which encrypt into memory of the batch; else each is one.
//
// Thread: its owner's. What is sent must stay until `run` returns.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "holdfast/net/leg.hpp"

namespace holdfast::net {

class SendBatch {
 public:
  enum class Mode : std::uint8_t {
    sends,  ///< one system call each
    ring,   ///< io_uring; `sends` where it can't be had
  };
  /// So many legs are best served at once.
  static constexpr std::size_t best_size = 4096;

  explicit SendBatch(Mode mode);
  SendBatch(const SendBatch&) = delete;
  SendBatch& operator=(const SendBatch&) = delete;
  ~SendBatch();

  /// Each leg once at most between two calls of `run`, best_size in all; results have the number of the call.
  void add(Leg& leg, Leg::Pieces pieces) {
    jobs_.push_back({&leg, pieces_.size(), pieces.size(), {}, 0, 0});
    pieces_.insert(pieces_.end(), pieces.begin(), pieces.end());
  }
  [[nodiscard]] std::size_t size() const noexcept { return jobs_.size(); }

  /// Sends, and calls `done(number, IoResult)` for each, in order.
  template <class Done>
  void run(Done done) {
    send_all();
    for (std::size_t n = 0; n < jobs_.size(); ++n) done(n, jobs_[n].result);
    jobs_.clear();
    pieces_.clear();
  }
  /// What it has come to: known after the first `run` of several.
  [[nodiscard]] Mode mode() const noexcept { return mode_; }

 private:
  struct Job {
    Leg* leg;
    std::size_t first;
    std::size_t count;
    IoResult result;
    std::size_t sealed_at;     ///< in the ring's ciphertext
    std::size_t sealed_bytes;  ///< 0: none
  };
  struct Ring;
  [[nodiscard]] Leg::Pieces pieces_of(const Job& job) const noexcept {
    return std::span(pieces_).subspan(job.first, job.count);
  }
  void send_all() noexcept;
  [[nodiscard]] bool make_ring() noexcept;
  void send_by_ring() noexcept;
  [[nodiscard]] std::size_t seal_from(std::size_t first) noexcept;
  [[nodiscard]] bool submit(std::size_t first, std::size_t end) noexcept;
  void take(Job& job, int outcome) noexcept;

  Mode mode_;
  std::unique_ptr<Ring> ring_;  ///< made when it is first of use, and anew when it is too small
  std::vector<Job> jobs_;
  std::vector<std::span<const std::byte>> pieces_;
};

}  // namespace holdfast::net
