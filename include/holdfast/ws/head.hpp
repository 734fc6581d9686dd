// HTTP/1.1 heads as compact values: the bytes as they came plus offsets into them. Strict where
// leniency lets two parsers disagree (RFC 9112 sections 2.2, 3, 5 and 11.2). Safe in every thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/ws/result.hpp"

namespace holdfast::ws {

inline constexpr std::size_t max_head_bytes = 16 * 1024;  // start line to empty line, both included
inline constexpr std::size_t max_head_fields = 100;

// Position behind the first CRLFCRLF, or npos. A caller that gets bytes piecemeal passes the size it
// had at the last call as `searched`, so that no byte is looked at twice.
[[nodiscard]] std::size_t find_head_end(std::string_view bytes, std::size_t searched = 0) noexcept;

struct Field {
  std::string_view name;   // as sent
  std::string_view value;  // without surrounding blanks; may be empty
};

// Ordered fields of a head. Views are good as long as the head lives and is not moved from.
class Fields {
 public:
  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
  [[nodiscard]] Field operator[](std::size_t index) const noexcept;

  // Names compare without case.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const noexcept;  // the first one
  // The value of the only one; nullopt where there is none or more than one.
  [[nodiscard]] std::optional<std::string_view> only(std::string_view name) const noexcept;
  [[nodiscard]] std::size_t count(std::string_view name) const noexcept;
  [[nodiscard]] std::vector<std::string_view> values(std::string_view name) const;  // in order
  // True if a comma-separated list in any field of that name holds the token, in any case.
  [[nodiscard]] bool has_token(std::string_view name, std::string_view token) const;

  // Whole bytes of the head, up to and including CRLFCRLF.
  [[nodiscard]] const std::string& raw() const noexcept { return raw_; }

 protected:
  // A head has at most 16 KiB, so 16 bits reach everywhere.
  struct Piece {
    std::uint16_t begin = 0;
    std::uint16_t size = 0;
  };
  struct Entry {
    Piece name;
    Piece value;
  };

  [[nodiscard]] bool is_named(const Entry& entry, std::string_view name) const noexcept;
  // Takes a copy of the bytes and fills start_ and entries_.
  [[nodiscard]] std::optional<Rejection> split(std::string_view bytes);
  // Nothing in them has a meaning for how a parser goes on behind the head.
  [[nodiscard]] bool are_plain() const noexcept;
  [[nodiscard]] std::string_view at(Piece piece) const noexcept {
    return {raw_.data() + piece.begin, piece.size};
  }

  std::string raw_;
  Piece start_;  // the start line without its CRLF
  std::vector<Entry> entries_;
};

class RequestHead : public Fields {
 public:
  // `bytes` ends with the head's CRLFCRLF. Rejections: 400; 431 when too big or too many
  // fields, 505 for any version but 1.0 and 1.1.
  [[nodiscard]] static Judged<RequestHead> parse(std::string_view bytes);

  [[nodiscard]] std::string_view method() const noexcept { return at(method_); }
  [[nodiscard]] std::string_view target() const noexcept { return at(target_); }  // byte for byte
  [[nodiscard]] unsigned version() const noexcept { return version_; }            // 10 or 11

 private:
  [[nodiscard]] std::optional<Rejection> split_start_line();

  Piece method_;
  Piece target_;
  unsigned version_ = 11;
};

// How the body behind a response head ends (RFC 9112 section 6.3).
enum class BodyEnd : std::uint8_t {
  none,         // no body
  length,       // Body::length bytes
  chunked,      // the chunked coding's last chunk
  until_close,  // end of the connection
};

struct Body {
  BodyEnd end = BodyEnd::none;
  std::uint64_t length = 0;  // 0 unless BodyEnd::length
};

class ResponseHead : public Fields {
 public:
  // `bytes` ends with the head's CRLFCRLF. Every rejection has status 502.
  [[nodiscard]] static Judged<ResponseHead> parse(std::string_view bytes);

  [[nodiscard]] unsigned status() const noexcept { return status_; }  // 100..599
  [[nodiscard]] std::string_view reason() const noexcept { return at(reason_); }
  [[nodiscard]] unsigned version() const noexcept { return version_; }  // 10 or 11
  [[nodiscard]] Body body() const noexcept { return body_; }
  // 100 or 103 and the like: drop it and read the next head (RFC 9110 section 15.2).
  [[nodiscard]] bool is_interim() const noexcept { return status_ < 200 && status_ != 101; }

 private:
  [[nodiscard]] std::optional<Rejection> split_status_line();
  [[nodiscard]] std::optional<Rejection> judge_body();

  Piece reason_;
  Body body_;
  unsigned status_ = 0;
  unsigned version_ = 11;
};

}  // namespace holdfast::ws
