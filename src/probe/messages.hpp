#pragma once
// What a backend says to a probe, as whole messages. Sans-io. Private to probe.

#include <cstddef>
#include <span>
#include <string>

#include "holdfast/ws/walker.hpp"

namespace holdfast::probe {

class Messages {
 public:
  enum class Kind : std::uint8_t { nothing_yet, text_or_binary, pong, close, other_control, violation };
  struct Message {
    Kind kind = Kind::nothing_yet;
    std::string payload;  ///< of data, pong and close; what was broken, of a violation
  };

  /// More than this in all is not what a probe is for.
  static constexpr std::size_t most_bytes = 64 * 1024;

  void add(std::span<const std::byte> bytes);
  [[nodiscard]] bool too_many() const noexcept { return received_ > most_bytes; }
  /// Call it until there is nothing yet.
  [[nodiscard]] Message next();

 private:
  ws::Walker walker_{ws::Sender::server};
  std::string bytes_;
  std::string message_;  ///< its fragments so far
  std::size_t received_ = 0;
};

}  // namespace holdfast::probe
