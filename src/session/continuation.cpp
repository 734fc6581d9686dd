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

Continuation::Continuation(std::shared_ptr<const std::string> common_fields, std::uint64_t common_lines,
                           Sizes sizes)
    : common_fields_(std::move(common_fields)), common_lines_(common_lines), sizes_(sizes) {}

std::unique_ptr<const Continuation> Continuation::make(Head head, std::string_view subprotocol,
                                                       std::string_view extensions) {
  const std::string_view parts[] = {head.start_line, head.own_fields, subprotocol, extensions};
  std::uint32_t ends[4];
  std::uint32_t size = 0;
  for (std::size_t n = 0; n < 4; ++n) ends[n] = size += static_cast<std::uint32_t>(parts[n].size());
  const Sizes sizes{ends[0], ends[1], ends[2], ends[3]};
  std::unique_ptr<Continuation> made(
      new (std::size_t{size}) Continuation(std::move(head.common_fields), head.common_lines, sizes));
  char* place = made->text();
  for (const std::string_view part : parts) place += part.copy(place, part.size());
  OPENSSL_cleanse(head.own_fields.data(), head.own_fields.size());
  return made;
}

std::unique_ptr<const Continuation> Continuation::copy() const {
  std::unique_ptr<Continuation> made(new (std::size_t{sizes_.size})
                                         Continuation(common_fields_, common_lines_, sizes_));
  std::copy_n(text(), sizes_.size, made->text());
  return made;
}

Continuation::~Continuation() {
  OPENSSL_cleanse(text(), sizes_.size);
}

std::string Continuation::request() const {
  std::string whole(part(0, sizes_.start_line_end));
  std::string_view own = part(sizes_.start_line_end, sizes_.fields_end);
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
