// The parameters of permessage-deflate (RFC 7692 section 7.1), for everybody who compares offers and
// answers.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "holdfast/ws/extensions.hpp"

namespace holdfast::ws {

inline constexpr std::string_view client_stays_fresh = "client_no_context_takeover";
inline constexpr std::string_view server_stays_fresh = "server_no_context_takeover";

struct Deflate {
  enum class Window : std::uint8_t { absent, without_bits, with_bits };
  enum class Takeover : std::uint8_t { allowed, refused };

  Takeover server_takeover = Takeover::allowed;
  Takeover client_takeover = Takeover::allowed;
  Window server_window = Window::absent;
  Window client_window = Window::absent;
  unsigned server_bits = 15;
  unsigned client_bits = 15;
};

[[nodiscard]] bool is_deflate(const Extension& extension) noexcept;

// nullopt: unknown or repeated parameter, or a value that is none. Such an offer can only be declined,
// such an answer only be refused.
[[nodiscard]] std::optional<Deflate> parse_deflate(const Extension& extension);

// Whether `answer` is legal for `offer`: what the client demands of the server must be granted; what
// restricts the client needs the client's word that it can (window) or none (takeover).
[[nodiscard]] bool grants(const Deflate& answer, const Deflate& offer) noexcept;

}  // namespace holdfast::ws
