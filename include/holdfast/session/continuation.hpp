#pragma once
// What a session keeps of its first handshake, to repeat it with another backend. Thousands of these lie
// about for as long as their clients stay, so it is packed: what is this client's own is one block, the
// fields that many clients send alike are one string for all of them.
//
// Threads: made by a setup thread, copied by the session's pump thread (see there), immutable, shared with
// attempts under way.

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
  Continuation(Head head, std::string_view subprotocol, std::string_view extensions);
  /// Allocates anew: long-lived blocks among a setup thread's short-lived ones would keep its memory in
  /// pieces.
  Continuation(const Continuation& other);
  Continuation& operator=(const Continuation&) = delete;
  ~Continuation();

  /// The head as it was, field by field.
  [[nodiscard]] std::string request() const;
  [[nodiscard]] std::string_view subprotocol() const noexcept { return part(fields_end_, subprotocol_end_); }
  [[nodiscard]] std::string_view extensions() const noexcept { return part(subprotocol_end_, size_); }
  /// In bytes, without what is shared with others.
  [[nodiscard]] std::size_t stored_bytes() const noexcept { return sizeof *this + size_; }

 private:
  [[nodiscard]] std::string_view part(std::uint32_t begin, std::uint32_t end) const noexcept {
    return {text_.get() + begin, end - begin};
  }

  std::shared_ptr<const std::string> common_fields_;
  std::uint64_t common_lines_;
  std::unique_ptr<char[]> text_;  ///< start line, own fields, subprotocol, extensions
  std::uint32_t start_line_end_;
  std::uint32_t fields_end_;
  std::uint32_t subprotocol_end_;
  std::uint32_t size_;
};

/// Takes the next line off `rest`, its CRLF included if it has one.
[[nodiscard]] std::string_view take_line(std::string_view& rest) noexcept;

}  // namespace holdfast::session
