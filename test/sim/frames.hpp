#pragma once
// Frames as the two ends see them: a writer, and a strict reader (RFC 6455 section 5) that shares no code
// with the proxy's.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast::sim {

inline constexpr unsigned op_continuation = 0;
inline constexpr unsigned op_text = 1;
inline constexpr unsigned op_binary = 2;
inline constexpr unsigned op_close = 8;
inline constexpr unsigned op_ping = 9;
inline constexpr unsigned op_pong = 10;

enum class From : std::uint8_t { client, server };

struct Head {
  unsigned opcode = op_binary;
  bool fin = true;
  bool masked = false;
  std::array<unsigned char, 4> mask{};
  std::uint64_t length = 0;  ///< of the payload
};

void append_frame(std::string& out, const Head& head, std::string_view payload);

/// What a reader tells; payloads come unmasked.
class Listener {
 public:
  virtual void on_head(const Head& head) = 0;  ///< of a data frame
  virtual void on_payload(std::string_view bytes) = 0;
  virtual void on_frame_end(const Head& head) = 0;
  virtual void on_control(const Head& head, std::string_view payload) = 0;

 protected:
  ~Listener() = default;
};

class Reader {
 public:
  explicit Reader(From sender) : sender_(sender) {}

  void feed(std::string_view bytes, Listener& listener);

  /// The first rule that was broken; empty = none.
  [[nodiscard]] const std::string& wrong() const noexcept { return wrong_; }
  /// Within a frame, its header included.
  [[nodiscard]] bool in_frame() const noexcept { return !waiting_.empty() || in_data_; }
  [[nodiscard]] bool in_message() const noexcept { return in_data_ || message_open_; }
  [[nodiscard]] bool closed() const noexcept { return closed_; }
  /// Bytes of the message under way: its frames so far, the one under way as announced.
  [[nodiscard]] std::uint64_t message_bytes() const noexcept { return message_bytes_; }
  /// Of the frame under way.
  [[nodiscard]] std::uint64_t frame_bytes() const noexcept { return frame_bytes_; }

 private:
  /// Size of the header that `waiting_` begins with; 0 = not there yet.
  [[nodiscard]] std::size_t header_size() const noexcept;
  [[nodiscard]] Head parse_head(std::size_t size);
  void judge(const Head& head, unsigned first_byte);
  void judge_close(std::string_view payload);
  void begin_data(const Head& head, std::size_t header_bytes, Listener& listener);
  [[nodiscard]] std::size_t take_payload(std::string_view bytes, Listener& listener);
  /// True when the waiting bytes were used up.
  [[nodiscard]] bool take_waiting(Listener& listener);

  From sender_;
  std::string waiting_;  ///< an incomplete header or control frame
  std::string unmasked_;
  std::string wrong_;
  Head head_;
  std::uint64_t left_ = 0;
  std::uint64_t position_ = 0;  ///< in the frame's payload, for the mask
  std::uint64_t message_bytes_ = 0;
  std::uint64_t frame_bytes_ = 0;
  bool in_data_ = false;
  bool message_open_ = false;
  bool closed_ = false;
};

/// Byte `position` of the payload that belongs to `seed`.
[[nodiscard]] inline char pattern(std::uint32_t seed, std::size_t position) noexcept {
  return static_cast<char>((seed * 167U + static_cast<std::uint32_t>(position) * 31U +
                            (static_cast<std::uint32_t>(position) >> 8U) * 7U) &
                           0xffU);
}

}  // namespace holdfast::sim
