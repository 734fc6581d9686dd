#include "holdfast/feed/log.hpp"

#include <algorithm>
#include <cassert>

namespace holdfast::feed {

namespace {
constexpr std::size_t least_frames = 16;
}

void Log::restart(Sequence first) noexcept {
  while (size_ != 0) drop_first();
  begin_ = first;
  snapshot_ = UINT64_MAX;
}

void Log::append(const std::shared_ptr<const Chunk>& chunk, std::span<const Frame> frames) {
  if (frames.empty()) return;
  const std::size_t needed = size_ + frames.size();
  if (needed > frames_.size()) {
    std::size_t room = std::max(frames_.size(), least_frames);
    while (room < needed) room *= 2;
    std::vector<Frame> larger(room);
    for (std::size_t n = 0; n < size_; ++n) larger[n] = at(begin_ + n);
    frames_ = std::move(larger);
    head_ = 0;
  }
  for (const Frame& frame : frames) {
    frames_[(head_ + size_) & (frames_.size() - 1)] = frame;
    if (frame.kind == FrameKind::snapshot) snapshot_ = end();
    ++size_;
    bytes_ += frame.size[0];
  }
  if (runs_.size() == first_run_ || runs_.back().chunk != chunk) runs_.push_back({chunk, 0});
  runs_.back().end = end();
}

void Log::drop_first() noexcept {
  assert(size_ != 0);
  bytes_ -= frames_[head_].size[0];
  head_ = (head_ + 1) & (frames_.size() - 1);
  --size_;
  ++begin_;
  if (runs_[first_run_].end > begin_) return;
  runs_[first_run_].chunk.reset();
  if (++first_run_ == runs_.size()) {
    runs_.clear();
    first_run_ = 0;
  } else if (first_run_ >= 32 && first_run_ * 2 >= runs_.size()) {
    runs_.erase(runs_.begin(), runs_.begin() + static_cast<std::ptrdiff_t>(first_run_));
    first_run_ = 0;
  }
}

void Log::trim(const Retention& keep, TimePoint now, Sequence floor) noexcept {
  while (size_ > 1 && bytes_ > keep.bytes && (begin_ < floor || bytes_ / 4 > keep.bytes)) drop_first();
  const Sequence kept_by_snapshot = keep.from_snapshot ? latest_snapshot() : end();
  while (size_ > keep.last && begin_ < kept_by_snapshot && now - at(begin_).came > keep.age) drop_first();
}

std::vector<Log::Part> Log::parts(Sequence from) const {
  std::vector<Part> out;
  Sequence next = std::max(from, begin_);
  for (std::size_t n = first_run_; n < runs_.size(); ++n) {
    if (runs_[n].end <= next) continue;
    Part part{runs_[n].chunk, {}};
    for (; next < runs_[n].end; ++next) part.frames.push_back(at(next));
    out.push_back(std::move(part));
  }
  return out;
}

}  // namespace holdfast::feed
