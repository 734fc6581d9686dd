#pragma once
// What the client and a backend's process have in common: they write messages in frames, in pieces, and read
// strictly.

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "sim/connection.hpp"
#include "sim/frames.hpp"
#include "sim/plan.hpp"

namespace holdfast::sim {

/// A payload of this size in a Ping or Pong is the proxy's own.
inline constexpr std::size_t proxy_ping_bytes = 12;

class Peer : public Listener {
 public:
  /// A message of its own, written whole.
  struct Said {
    std::uint32_t size;
    std::uint64_t begin;  ///< in its stream
    std::uint64_t end;
  };
  /// `id`: 0 for the client, 1 and up for backend legs.
  Peer(Connection::Surroundings around, const Plan& plan, unsigned id, std::size_t window);
  virtual ~Peer() = default;

  Connection connection;
  std::vector<Said> said;
  struct Span {
    std::uint64_t begin;
    std::uint64_t end;
  };
  std::vector<Span> data_frames;  ///< where they are in its stream

  [[nodiscard]] unsigned id() const noexcept { return id_; }
  [[nodiscard]] bool close_sent() const noexcept { return close_end_ != 0; }
  /// Its Close has reached the proxy.
  [[nodiscard]] bool close_arrived() const noexcept {
    return close_end_ != 0 && connection.arrived() >= close_end_;
  }
  [[nodiscard]] bool close_seen() const noexcept { return close_seen_; }
  [[nodiscard]] unsigned close_code() const noexcept { return close_code_; }  ///< that it has seen
  [[nodiscard]] const Reader& reader() const noexcept { return reader_; }
  [[nodiscard]] bool message_open() const noexcept { return sent_of_open_ != nothing; }
  /// What it says under this number.
  [[nodiscard]] std::string content(std::uint32_t number, std::size_t size) const;

 protected:
  static constexpr std::size_t nothing = static_cast<std::size_t>(-1);

  /// Up to `most` bytes.
  void hear(std::size_t most);
  /// The next frame of the message under way, or the first of another.
  void say_frame();
  void say_control(unsigned opcode, std::string_view payload);
  /// `code` 1005: an empty one.
  void say_close(unsigned code);
  void say_ping();
  void say_raw(std::string_view bytes) { connection.up += bytes; }

  Random& random_;
  Verdict& verdict_;
  const Plan& plan_;
  std::deque<std::string> pongs_due_;
  unsigned seen_code_ = 0;
  bool close_seen_ = false;
  unsigned close_code_ = 0;

  void note_close(std::string_view payload);

 private:
  [[nodiscard]] std::size_t draw_size();
  [[nodiscard]] std::array<unsigned char, 4> tag() const noexcept;

  unsigned id_;
  Reader reader_;
  std::string open_;  ///< content of the message under way
  std::size_t sent_of_open_ = nothing;
  std::uint64_t open_begin_ = 0;
  std::uint64_t close_end_ = 0;
  unsigned fragment_ = 0;
  unsigned pings_said_ = 0;
};

}  // namespace holdfast::sim
