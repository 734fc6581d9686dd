#include "holdfast/session/continuation.hpp"

#include <openssl/crypto.h>

#include <algorithm>
#include <cassert>
#include <utility>

namespace holdfast::session {

namespace {
// What `make` makes dies on another thread, as soon as that one has its `copy`. glibc keeps what a thread
// frees for it up to 1,032 bytes: the next copy would lie in the setup thread's memory, and keep its free
// pages.
constexpr std::size_t least_short_lived = 1'040;
}  // namespace

std::string_view take_line(std::string_view& rest) noexcept {
  const std::size_t end = rest.find("\r\n");
  const std::string_view line = rest.substr(0, end == std::string_view::npos ? rest.size() : end + 2);
  rest.remove_prefix(line.size());
  return line;
}

Continuation::Continuation(std::shared_ptr<const std::string> common_fields, std::uint64_t common_lines,
                           Sizes sizes)
    : common_fields_(std::move(common_fields)), common_lines_(common_lines), sizes_(sizes) {}

std::size_t Continuation::Sizes::of(std::size_t number) const noexcept {
  if (number == 1) return own_fields;
  return others[number == 0 ? 0 : number - 1];
}

std::string_view Continuation::part(std::size_t number) const noexcept {
  std::size_t begin = 0;
  for (std::size_t n = 0; n < number; ++n) begin += sizes_.of(n);
  return {text() + begin, sizes_.of(number)};
}

std::size_t Continuation::text_bytes() const noexcept {
  std::size_t bytes = 0;
  for (std::size_t n = 0; n < parts; ++n) bytes += sizes_.of(n);
  return bytes;
}

std::unique_ptr<const Continuation> Continuation::make(Head head, std::string_view subprotocol,
                                                       std::string_view extensions,
                                                       std::string_view proxy_header) {
  const std::string_view texts[parts] = {head.start_line, head.own_fields, subprotocol, extensions,
                                         proxy_header};
  Sizes sizes;
  std::size_t bytes = 0;
  for (std::size_t n = 0; n < parts; ++n) {
    bytes += texts[n].size();
    if (n == 1) {
      sizes.own_fields = static_cast<std::uint32_t>(texts[n].size());
      continue;
    }
    assert(texts[n].size() <= UINT16_MAX);
    sizes.others[n == 0 ? 0 : n - 1] = static_cast<std::uint16_t>(texts[n].size());
  }
  std::unique_ptr<Continuation> made(new (std::max(bytes, least_short_lived)) Continuation(
      std::move(head.common_fields), head.common_lines, sizes));
  char* place = made->text();
  for (const std::string_view text : texts) place += text.copy(place, text.size());
  OPENSSL_cleanse(head.own_fields.data(), head.own_fields.size());
  return made;
}

std::unique_ptr<const Continuation> Continuation::copy() const {
  std::unique_ptr<Continuation> made(new (text_bytes()) Continuation(common_fields_, common_lines_, sizes_));
  std::copy_n(text(), text_bytes(), made->text());
  return made;
}

Continuation::~Continuation() {
  OPENSSL_cleanse(text(), text_bytes());
}

std::string Continuation::request() const {
  std::string whole(part(0));
  std::string_view own = part(1);
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
