#pragma once
// Makes frames of messages: framed once and deflated once for all subscribers.
//
// Thread: the source thread's.

#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "holdfast/feed/log.hpp"
#include "holdfast/ws/frame.hpp"

namespace holdfast::feed {

/// Deflates messages one by one, each by itself, so that the result fits every client that has agreed to
/// server_no_context_takeover with a window of 15 bits (RFC 7692 section 7.2.1).
class Packer {
 public:
  Packer();  ///< throws std::bad_alloc
  ~Packer();
  Packer(const Packer&) = delete;
  Packer& operator=(const Packer&) = delete;

  /// Valid until the next call; empty when it would not be shorter.
  [[nodiscard]] std::span<const std::byte> pack(std::span<const std::byte> message);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class Writer {
 public:
  /// `most_chunk_bytes`: no chunk is larger, but for messages that are.
  explicit Writer(std::size_t most_chunk_bytes = 128UL * 1024) : most_chunk_bytes_(most_chunk_bytes) {}

  struct Message {
    ws::Opcode opcode = ws::Opcode::text;
    std::span<const std::byte> payload;
    TimePoint came;
    FrameKind kind = FrameKind::message;
    std::span<const std::byte> slice = {};  ///< of the payload, for those who want that; empty: there is none
    Origin origin = 0;
  };
  /// `packer` null: nobody wants it deflated.
  void write(const Message& message, Packer* packer);

  /// What was written since the last call, by chunk.
  [[nodiscard]] std::vector<Log::Part> take() { return std::exchange(parts_, {}); }
  [[nodiscard]] bool empty() const noexcept { return parts_.empty(); }

 private:
  void make_room(std::size_t size);
  void write(Frame& frame, bool slice, ws::Opcode opcode, std::span<const std::byte> payload, Packer* packer);

  std::size_t most_chunk_bytes_;
  std::size_t next_chunk_bytes_ = 2048;
  std::shared_ptr<Chunk> chunk_;
  std::vector<Log::Part> parts_;
};

}  // namespace holdfast::feed
