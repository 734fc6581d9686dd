#include "ws/deflate.hpp"

#include <string>

#include "ws/syntax.hpp"

namespace holdfast::ws {
namespace {

// Window bits are 8..15 without a leading zero.
std::optional<unsigned> parse_bits(const std::string& text) {
  if (text.empty() || text[0] == '0') return std::nullopt;
  const auto bits = parse_number(text, 15);
  return bits && *bits >= 8 ? bits : std::nullopt;
}

bool apply_flag(const ExtensionParameter& parameter, Deflate::Takeover& takeover) {
  if (parameter.value || takeover == Deflate::Takeover::refused) return false;
  takeover = Deflate::Takeover::refused;
  return true;
}

bool apply_window(const ExtensionParameter& parameter, Deflate::Window& window, unsigned& window_bits) {
  if (window != Deflate::Window::absent) return false;
  window = Deflate::Window::without_bits;
  if (!parameter.value) return true;
  const auto bits = parse_bits(*parameter.value);
  if (!bits) return false;
  window = Deflate::Window::with_bits;
  window_bits = *bits;
  return true;
}

}  // namespace

bool is_deflate(const Extension& extension) noexcept {
  return equal_ignoring_case(extension.name, "permessage-deflate");
}

std::optional<Deflate> parse_deflate(const Extension& extension) {
  Deflate deflate;
  for (const ExtensionParameter& parameter : extension.parameters) {
    bool good = false;
    if (parameter.name == server_stays_fresh) {
      good = apply_flag(parameter, deflate.server_takeover);
    } else if (parameter.name == client_stays_fresh) {
      good = apply_flag(parameter, deflate.client_takeover);
    } else if (parameter.name == "server_max_window_bits") {
      // Only the client's may stand without a number (sections 7.1.2.1 and 7.1.2.2).
      good = parameter.value && apply_window(parameter, deflate.server_window, deflate.server_bits);
    } else if (parameter.name == "client_max_window_bits") {
      good = apply_window(parameter, deflate.client_window, deflate.client_bits);
    }
    if (!good) return std::nullopt;
  }
  return deflate;
}

bool grants(const Deflate& answer, const Deflate& offer) noexcept {
  using Window = Deflate::Window;
  using Takeover = Deflate::Takeover;
  if (answer.client_window == Window::without_bits) return false;
  if (answer.client_window == Window::with_bits && offer.client_window == Window::absent) return false;
  if (answer.client_window == Window::with_bits && answer.client_bits > offer.client_bits) return false;
  if (offer.server_takeover == Takeover::refused && answer.server_takeover == Takeover::allowed) return false;
  if (offer.server_window == Window::absent) return true;
  return answer.server_window != Window::absent && answer.server_bits <= offer.server_bits;
}

}  // namespace holdfast::ws
