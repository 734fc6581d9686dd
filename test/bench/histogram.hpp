// Durations counted in buckets that are at most 1.6 % wide: a million a second, and no memory for each.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdio>

namespace holdfast::bench {

class Histogram {
 public:
  void add(std::int64_t nanoseconds) {
    const auto value = static_cast<std::uint64_t>(nanoseconds < 0 ? 0 : nanoseconds);
    ++buckets_[bucket_of(value)];
    ++count_;
    if (value > max_) max_ = value;
  }
  void clear() { *this = {}; }

  // The upper end of the bucket that holds this share of all values, in milliseconds; 0 when there are none.
  [[nodiscard]] double quantile(double share) const {
    if (count_ == 0) return 0;
    const auto rank = static_cast<std::uint64_t>(static_cast<double>(count_ - 1) * share);
    std::uint64_t seen = 0;
    for (std::size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
      seen += buckets_[bucket];
      if (seen > rank) return static_cast<double>(upper_end(bucket)) / 1e6;
    }
    return static_cast<double>(max_) / 1e6;
  }

  // Appends `, "NAME": {count, p50, p99, p999, max}` in milliseconds to a JSON object on stdout.
  void print(const char* name) const {
    std::printf(R"(, "%s": {"count": %llu, "p50": %.4f, "p99": %.4f, "p999": %.4f, "max": %.4f})", name,
                static_cast<unsigned long long>(count_), quantile(0.5), quantile(0.99), quantile(0.999),
                static_cast<double>(max_) / 1e6);
  }

 private:
  // 64 buckets for each power of two; below 64 ns each nanosecond has its own.
  static constexpr int bits = 6;
  static constexpr std::uint64_t parts = 1u << bits;

  static std::size_t bucket_of(std::uint64_t value) {
    if (value < parts) return static_cast<std::size_t>(value);
    const int shift = static_cast<int>(std::bit_width(value)) - bits - 1;
    return static_cast<std::size_t>(static_cast<std::uint64_t>(shift + 1) * parts + (value >> shift) - parts);
  }
  static std::uint64_t upper_end(std::size_t bucket) {
    if (bucket < parts) return bucket;
    const int shift = static_cast<int>(bucket / parts) - 1;
    return ((bucket % parts + parts + 1) << shift) - 1;
  }

  std::array<std::uint64_t, (64 - bits + 1) * parts> buckets_{};
  std::uint64_t count_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace holdfast::bench
