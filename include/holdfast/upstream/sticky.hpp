#pragma once
// The cookie that brings a client back to the backend it was with. Its value names a backend without telling
// its address, and can't be made up or changed by a client:
//
//   base64url( id(8) expiry(4) session(8) mac(16) ), without padding
//   id = HMAC-SHA-256(key, "backend" NUL upstream NUL address), cut to 8 bytes
//   expiry = seconds since 1970, big endian; 0 = never
//   session = which session got it, see Moved; HMAC-SHA-256(key, "session" NUL id), cut to 8 bytes
//   mac = HMAC-SHA-256(key, "cookie" NUL upstream NUL, then id, expiry, session), cut to 16 bytes
//
// All proxies with one key read each other's. Sans-io, immutable but for Moved; any thread.

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace holdfast::upstream {

class Backend;

using StickySession = std::uint64_t;

class Sticky {
 public:
  using WallTime = std::chrono::system_clock::time_point;

  /// `key`: any bytes that clients don't know.
  Sticky(std::string key, std::string upstream, std::span<const std::shared_ptr<Backend>> members);

  /// What a genuine value says that has not expired.
  struct Ticket {
    std::optional<std::size_t> member;  ///< nothing: that backend is no member any more
    StickySession session = 0;
  };
  [[nodiscard]] std::optional<Ticket> read(std::string_view value, WallTime now) const;
  /// `ttl` 0 = for ever.
  [[nodiscard]] std::string issue(std::size_t member, StickySession session, WallTime now,
                                  std::chrono::seconds ttl) const;
  /// What stands in a cookie for a session's id.
  [[nodiscard]] StickySession session_of(std::span<const std::uint8_t, 16> id) const;
  /// Nothing if it is none.
  [[nodiscard]] std::optional<std::size_t> member_of(std::string_view address) const;

 private:
  using Mac = std::array<unsigned char, 16>;
  [[nodiscard]] Mac sign(std::string_view what, std::string_view text) const;

  const std::string key_;
  const std::string upstream_;
  std::vector<std::string> ids_;  ///< by member
  std::unordered_map<std::string, std::size_t> by_id_;
  std::unordered_map<std::string, std::size_t> by_address_;
};

/// What came of a client's cookie.
enum class StickyResult : std::uint8_t {
  honoured,  ///< it got the backend that the cookie names, or where its session had gone since
  yielded,   ///< that one takes no sessions now, or is no member any more
  invalid,   ///< expired, of another key or upstream, or made up
};
inline constexpr std::size_t sticky_result_count = 3;
[[nodiscard]] std::string_view text(StickyResult result) noexcept;

/// Where sessions went that were rerouted after they got their cookie: a client that comes back goes where
/// its session was last, and not to the backend that had lost it. The latest 65,536 of an upstream.
class Moved {
 public:
  static constexpr std::size_t most = 65'536;
  void note(StickySession session, std::string address);
  [[nodiscard]] std::optional<std::string> find(StickySession session) const;
  [[nodiscard]] std::size_t size() const;

 private:
  mutable std::mutex mutex_;
  std::unordered_map<StickySession, std::string> addresses_;
  std::deque<StickySession> order_;
};

}  // namespace holdfast::upstream
