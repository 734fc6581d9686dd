// Which fields a proxy passes on (RFC 9110 section 7.6.1), for both directions.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/ws/head.hpp"
#include "ws/syntax.hpp"

namespace holdfast::ws {

[[nodiscard]] bool is_any_of(std::string_view name, std::span<const std::string_view> names) noexcept;

// Names of fields, each of up to 31 characters. A head's fields are looked for in several of these: most have
// a size that none of the names has, and of the others most differ in size or first letter from each.
template <std::size_t count>
class NameSet {
 public:
  template <class... Texts>
  explicit consteval NameSet(Texts... names) : names_{names...} {
    for (std::size_t n = 0; n < count; ++n) {
      sizes_ |= std::uint32_t{1} << names_[n].size();
      looks_[n] = look(names_[n]);
    }
  }
  [[nodiscard]] bool has(std::string_view name) const noexcept {
    if (name.empty() || name.size() >= 32 || (sizes_ >> name.size() & 1U) == 0) return false;
    const std::uint16_t looked_for = look(name);
    for (std::size_t n = 0; n < count; ++n) {
      if (looks_[n] == looked_for && equal_ignoring_case(names_[n], name)) return true;
    }
    return false;
  }

 private:
  // Size and first letter, without case.
  static constexpr std::uint16_t look(std::string_view name) noexcept {
    return static_cast<std::uint16_t>(name.size() << 8U | static_cast<unsigned char>(to_lower(name[0])));
  }
  std::array<std::string_view, count> names_;
  std::array<std::uint16_t, count> looks_{};
  std::uint32_t sizes_ = 0;
};
template <class... Texts>
NameSet(Texts...) -> NameSet<sizeof...(Texts)>;

// Without case, and '_' as '-': the two are one to backends that turn fields into environment variables.
[[nodiscard]] bool begins_like(std::string_view name, std::string_view lower_case_prefix) noexcept;

// As a whole name.
[[nodiscard]] bool is_like(std::string_view name, std::string_view other) noexcept;

// The names that the head's Connection fields declare hop-by-hop, but for those that always are: mostly none.
// Views into the head.
[[nodiscard]] std::vector<std::string_view> list_of_connection(const Fields& head);

// True for the fixed hop-by-hop fields and for those in `named`, except the ones that a sender must
// not be able to take away by naming them: Host, Origin, Cookie, Set-Cookie, Authorization,
// Sec-WebSocket-*, and what trusted proxies say in X-Forwarded-* and Forwarded.
[[nodiscard]] bool is_hop_by_hop(std::string_view name, std::span<const std::string_view> named) noexcept;

// "name: value" and CRLF.
void append_field(std::string& out, std::string_view name, std::string_view value);

}  // namespace holdfast::ws
