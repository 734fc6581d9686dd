#pragma once
// Inflates what clients send, each message by itself (they have agreed to client_no_context_takeover).
//
// Thread: its owner's.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace holdfast::feed {

class Unpacker {
 public:
  enum class Failure : std::uint8_t { none, garbage, too_big };
  using Bytes = std::vector<std::byte>;

  Unpacker();
  ~Unpacker();
  Unpacker(const Unpacker&) = delete;
  Unpacker& operator=(const Unpacker&) = delete;

  struct Outcome {
    Failure failure = Failure::none;
    Bytes message;
  };
  /// `most_bytes` of the result; 0 = no limit of the caller's, then 256 MiB.
  [[nodiscard]] Outcome unpack(std::span<const std::byte> message, std::uint64_t most_bytes);

 private:
  struct State;
  std::unique_ptr<State> state_;  ///< made at the first use
};

}  // namespace holdfast::feed
