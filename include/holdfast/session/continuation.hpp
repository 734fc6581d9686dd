#pragma once
// What a session keeps of its first handshake, to repeat it with another backend. Thousands of these lie
// about for as long as their clients stay, so it is packed: what is this client's own is one block, the
// fields that many clients send alike are one string for all of them.
//
// Threads: made by a setup thread, copied by the session's pump thread (see there) and for each attempt under
// way; immutable.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace holdfast::session {

class Continuation {
 public:
  /// A request head but for its end, "Name: value" lines with their CRLF: an attempt appends
  /// Sec-WebSocket-Key, the Holdfast fields and the empty line. It offers exactly what was agreed.
  struct Head {
    std::string start_line;
    std::shared_ptr<const std::string> common_fields;  ///< may be null; of any number of clients
    std::string own_fields;                            ///< cookies, tokens: wiped at the end
    /// Bit n: line n behind the start line is the next one of the common fields; what is left of both
    /// follows.
    std::uint64_t common_lines = 0;
  };

  /// `subprotocol`: agreed; empty = none. `extensions`: agreed, as the first backend's answer had them.
  /// Throws std::bad_alloc.
  [[nodiscard]] static std::unique_ptr<const Continuation> make(Head head, std::string_view subprotocol,
                                                                std::string_view extensions);
  /// In a block of its own, allocated by the caller's thread: long-lived blocks among a setup thread's
  /// short-lived ones would keep its memory in pieces.
  [[nodiscard]] std::unique_ptr<const Continuation> copy() const;
  Continuation(const Continuation&) = delete;
  Continuation& operator=(const Continuation&) = delete;
  ~Continuation();
  /// The text follows the object in its block, whose size only `make` and `copy` know.
  static void operator delete(void* block) { ::operator delete(block); }

  /// The head as it was, field by field.
  [[nodiscard]] std::string request() const;
  [[nodiscard]] std::string_view subprotocol() const noexcept {
    return part(sizes_.fields_end, sizes_.subprotocol_end);
  }
  [[nodiscard]] std::string_view extensions() const noexcept {
    return part(sizes_.subprotocol_end, sizes_.size);
  }
  /// In bytes, without what is shared with others.
  [[nodiscard]] std::size_t stored_bytes() const noexcept { return sizeof *this + sizes_.size; }

 private:
  struct Sizes {
    std::uint32_t start_line_end = 0;
    std::uint32_t fields_end = 0;
    std::uint32_t subprotocol_end = 0;
    std::uint32_t size = 0;
  };
  Continuation(std::shared_ptr<const std::string> common_fields, std::uint64_t common_lines, Sizes sizes);
  static void* operator new(std::size_t object, std::size_t text) { return ::operator new(object + text); }
  static void operator delete(void* block, std::size_t) { ::operator delete(block); }

  [[nodiscard]] char* text() noexcept { return reinterpret_cast<char*>(this + 1); }
  [[nodiscard]] const char* text() const noexcept { return reinterpret_cast<const char*>(this + 1); }
  [[nodiscard]] std::string_view part(std::uint32_t begin, std::uint32_t end) const noexcept {
    return {text() + begin, end - begin};
  }

  const std::shared_ptr<const std::string> common_fields_;
  const std::uint64_t common_lines_;
  const Sizes sizes_;  ///< of the text: start line, own fields, subprotocol, extensions
};

/// Takes the next line off `rest`, its CRLF included if it has one.
[[nodiscard]] std::string_view take_line(std::string_view& rest) noexcept;

}  // namespace holdfast::session
