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
  /// `proxy_header`: version 2, what backends are told in front of the request; empty = nothing. Each of
  /// these parts but own_fields is shorter than 64 KiB. Throws std::bad_alloc.
  [[nodiscard]] static std::unique_ptr<const Continuation> make(Head head, std::string_view subprotocol,
                                                                std::string_view extensions,
                                                                std::string_view proxy_header = {});
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
  [[nodiscard]] std::string_view subprotocol() const noexcept { return part(2); }
  [[nodiscard]] std::string_view extensions() const noexcept { return part(3); }
  [[nodiscard]] std::string_view proxy_header() const noexcept { return part(4); }
  /// In bytes, without what is shared with others.
  [[nodiscard]] std::size_t stored_bytes() const noexcept { return sizeof *this + text_bytes(); }

 private:
  static constexpr std::size_t parts = 5;  ///< start line, own fields, subprotocol, extensions, PROXY header
  struct Sizes {
    std::uint32_t own_fields = 0;
    std::uint16_t others[parts - 1] = {};
    [[nodiscard]] std::size_t of(std::size_t number) const noexcept;
  };
  Continuation(std::shared_ptr<const std::string> common_fields, std::uint64_t common_lines, Sizes sizes);
  static void* operator new(std::size_t object, std::size_t text) { return ::operator new(object + text); }
  static void operator delete(void* block, std::size_t) { ::operator delete(block); }

  [[nodiscard]] char* text() noexcept { return reinterpret_cast<char*>(this + 1); }
  [[nodiscard]] const char* text() const noexcept { return reinterpret_cast<const char*>(this + 1); }
  [[nodiscard]] std::string_view part(std::size_t number) const noexcept;
  [[nodiscard]] std::size_t text_bytes() const noexcept;

  const std::shared_ptr<const std::string> common_fields_;
  const std::uint64_t common_lines_;
  const Sizes sizes_;
};

/// Takes the next line off `rest`, its CRLF included if it has one.
[[nodiscard]] std::string_view take_line(std::string_view& rest) noexcept;

}  // namespace holdfast::session
