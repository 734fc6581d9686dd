#include "holdfast/session/continuation.hpp"

#include <openssl/crypto.h>

#include <algorithm>
#include <utility>

namespace holdfast::session {

std::string_view take_line(std::string_view& rest) noexcept {
  const std::size_t end = rest.find("\r\n");
  const std::string_view line = rest.substr(0, end == std::string_view::npos ? rest.size() : end + 2);
  rest.remove_prefix(line.size());
  return line;
}

Continuation::Continuation(Head head, std::string_view subprotocol, std::string_view extensions)
    : common_fields_(std::move(head.common_fields)),
      common_lines_(head.common_lines),
      start_line_end_(static_cast<std::uint32_t>(head.start_line.size())),
      fields_end_(static_cast<std::uint32_t>(start_line_end_ + head.own_fields.size())),
      subprotocol_end_(static_cast<std::uint32_t>(fields_end_ + subprotocol.size())),
      size_(static_cast<std::uint32_t>(subprotocol_end_ + extensions.size())) {
  text_ = std::make_unique_for_overwrite<char[]>(size_);
  std::ranges::copy(head.start_line, text_.get());
  std::ranges::copy(head.own_fields, text_.get() + start_line_end_);
  std::ranges::copy(subprotocol, text_.get() + fields_end_);
  std::ranges::copy(extensions, text_.get() + subprotocol_end_);
  OPENSSL_cleanse(head.own_fields.data(), head.own_fields.size());
}

Continuation::Continuation(const Continuation& other)
    : common_fields_(other.common_fields_),
      common_lines_(other.common_lines_),
      text_(std::make_unique_for_overwrite<char[]>(other.size_)),
      start_line_end_(other.start_line_end_),
      fields_end_(other.fields_end_),
      subprotocol_end_(other.subprotocol_end_),
      size_(other.size_) {
  std::copy_n(other.text_.get(), size_, text_.get());
}

Continuation::~Continuation() {
  OPENSSL_cleanse(text_.get(), size_);
}

std::string Continuation::request() const {
  std::string whole(part(0, start_line_end_));
  std::string_view own = part(start_line_end_, fields_end_);
  std::string_view common;
  if (common_fields_ != nullptr) common = *common_fields_;
  whole.reserve(whole.size() + own.size() + common.size());
  for (std::uint64_t lines = common_lines_; lines != 0; lines >>= 1U)
    whole += take_line((lines & 1U) != 0 ? common : own);
  whole += common;
  whole += own;
  return whole;
}

}  // namespace holdfast::session
