#pragma once
// The dialects of conf/dialects, part of the binary (embed.py).

#include <span>
#include <string_view>

namespace holdfast::dialect {

struct Shipped {
  std::string_view name;
  std::string_view text;
};
[[nodiscard]] std::span<const Shipped> shipped() noexcept;

}  // namespace holdfast::dialect
