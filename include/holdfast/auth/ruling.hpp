#pragma once
// What a forward_auth service has decided, and for how long that is remembered. Sans-io.

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "holdfast/base/clock.hpp"
#include "holdfast/config/auth.hpp"
#include "holdfast/metrics/auth_cells.hpp"
#include "holdfast/ws/handshake.hpp"

namespace holdfast::auth {

struct Ruling {
  metrics::ForwardResult result = metrics::ForwardResult::unexpected;
  unsigned status = 0;                 ///< of its answer; 0 = there was none
  std::vector<ws::ExtraField> fields;  ///< allowed: `copy_headers`; denied: what the client is told
  std::string what;                    ///< neither: what went wrong, for the log

  /// The same question would be answered the same a moment later: not "come back later".
  [[nodiscard]] bool is_lasting() const noexcept;
};

/// 2xx allows, 4xx denies, all else is no answer to this question.
[[nodiscard]] Ruling read_ruling(const ws::ResponseHead& answer, const config::ForwardAuth& settings);

/// A question by its SHA-256.
using QuestionDigest = std::array<std::uint8_t, 32>;
/// `service` tells apart who is asked and what of its answer is kept.
[[nodiscard]] QuestionDigest digest_of(std::string_view service, std::string_view question);

/// The latest rulings, the least recently needed ones dropped first. Keyed by the whole question: whatever
/// the service gets to see may decide (path, host, address), so nothing less tells two questions apart.
///
/// Thread: one.
class RulingCache {
 public:
  static constexpr std::size_t most_bytes = 4U << 20U;
  static constexpr std::size_t longest_entry = 8 * 1024;

  explicit RulingCache(std::size_t limit_bytes = most_bytes) noexcept : limit_(limit_bytes) {}

  /// Null when there is none, or it was given before `now` - `good_for`.
  [[nodiscard]] const Ruling* find(const QuestionDigest& question, Milliseconds good_for, TimePoint now);
  void put(const QuestionDigest& question, Ruling ruling, TimePoint now);
  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

 private:
  struct Entry {
    QuestionDigest question;
    Ruling ruling;
    TimePoint given;
    std::size_t bytes;
  };
  using Entries = std::list<Entry>;
  struct Hash {
    std::size_t operator()(const QuestionDigest& digest) const noexcept;
  };
  void drop(Entries::iterator entry);

  std::size_t limit_;
  std::size_t bytes_ = 0;
  Entries entries_;  ///< the one needed last is first
  std::unordered_map<QuestionDigest, Entries::iterator, Hash> places_;
};

}  // namespace holdfast::auth
