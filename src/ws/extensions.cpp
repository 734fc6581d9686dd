#include "holdfast/ws/extensions.hpp"

#include <algorithm>
#include <utility>

#include "holdfast/ws/frame.hpp"
#include "ws/syntax.hpp"

namespace holdfast::ws {
namespace {

constexpr std::string_view deflate_name = "permessage-deflate";

// extension-list = 1#(token *(";" token ["=" (token / quoted-string)])), over one field value.
class ExtensionReader {
 public:
  explicit ExtensionReader(std::string_view text) : rest_(text) {}

  // False when the grammar is broken.
  [[nodiscard]] bool read(std::vector<Extension>& out) {
    while (true) {
      skip_blanks();
      if (rest_.empty()) return true;
      if (accept(',')) continue;  // empty list elements are legal
      Extension extension;
      if (!read_extension(extension)) return false;
      out.push_back(std::move(extension));
      if (!rest_.empty() && !accept(',')) return false;
    }
  }

 private:
  void skip_blanks() {
    const std::size_t first = rest_.find_first_not_of(" \t");
    rest_.remove_prefix(first == std::string_view::npos ? rest_.size() : first);
  }

  bool accept(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  std::string_view take_token() {
    const auto end = std::find_if_not(rest_.begin(), rest_.end(), is_token_char);
    const std::string_view token = rest_.substr(0, static_cast<std::size_t>(end - rest_.begin()));
    rest_.remove_prefix(token.size());
    return token;
  }

  bool read_extension(Extension& extension) {
    extension.name = take_token();
    if (extension.name.empty()) return false;
    skip_blanks();
    while (accept(';')) {
      ExtensionParameter parameter;
      if (!read_parameter(parameter)) return false;
      extension.parameters.push_back(std::move(parameter));
    }
    return true;
  }

  bool read_parameter(ExtensionParameter& parameter) {
    skip_blanks();
    parameter.name = take_token();
    if (parameter.name.empty()) return false;
    skip_blanks();
    if (accept('=')) {
      skip_blanks();
      parameter.value = accept('"') ? take_quoted() : std::string(take_token());
      if (parameter.value->empty()) return false;
      skip_blanks();
    }
    return true;
  }

  // What a quoted string holds must be a token once the quotes are off (RFC 6455 section 9.1). Empty
  // = broken.
  std::string take_quoted() {
    std::string text;
    while (!rest_.empty()) {
      if (accept('"')) return is_token(text) ? text : std::string();
      if (accept('\\') && rest_.empty()) break;
      text.push_back(rest_.front());
      rest_.remove_prefix(1);
    }
    return {};
  }

  std::string_view rest_;
};

// The parameters of RFC 7692 section 7.1.
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

// nullopt: unknown or repeated parameter, or a value that is none. Such an offer can only be declined,
// such an answer only be refused.
std::optional<Deflate> parse_deflate(const Extension& extension) {
  Deflate deflate;
  for (const ExtensionParameter& parameter : extension.parameters) {
    bool good = false;
    if (parameter.name == "server_no_context_takeover") {
      good = apply_flag(parameter, deflate.server_takeover);
    } else if (parameter.name == "client_no_context_takeover") {
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

// Section 7.1: what the client demands of the server must be granted; what restricts the client needs
// the client's word that it can (window) or none (takeover).
bool grants(const Deflate& answer, const Deflate& offer) {
  using Window = Deflate::Window;
  using Takeover = Deflate::Takeover;
  if (answer.client_window == Window::without_bits) return false;
  if (answer.client_window == Window::with_bits && offer.client_window == Window::absent) return false;
  if (answer.client_window == Window::with_bits && answer.client_bits > offer.client_bits) return false;
  if (offer.server_takeover == Takeover::refused && answer.server_takeover == Takeover::allowed) return false;
  if (offer.server_window == Window::absent) return true;
  return answer.server_window != Window::absent && answer.server_bits <= offer.server_bits;
}

std::optional<std::string> fault_in_deflate(std::span<const Extension> offer, const Extension& extension) {
  const auto answer = parse_deflate(extension);
  if (!answer) return "The permessage-deflate answer has an illegal parameter.";
  const bool granted = std::any_of(offer.begin(), offer.end(), [&](const Extension& one) {
    if (!equal_ignoring_case(one.name, deflate_name)) return false;
    const auto wanted = parse_deflate(one);
    return wanted && grants(*answer, *wanted);
  });
  if (!granted) return "The permessage-deflate answer fits none of the offers.";
  return std::nullopt;
}

auto named(std::string_view name) {
  return [name](const Extension& extension) { return equal_ignoring_case(extension.name, name); };
}

}  // namespace

Judged<std::vector<Extension>> parse_extensions(std::span<const std::string_view> values) {
  std::vector<Extension> extensions;
  for (const std::string_view value : values) {
    if (!ExtensionReader(value).read(extensions)) {
      return Rejection{400, "Sec-WebSocket-Extensions is malformed.", {}};
    }
  }
  return extensions;
}

std::optional<std::string> fault_in_answer(std::span<const Extension> offer,
                                           std::span<const Extension> answer) {
  for (const Extension& extension : answer) {
    if (std::none_of(offer.begin(), offer.end(), named(extension.name))) {
      return "The answer has an extension that was not offered.";
    }
    if (std::count_if(answer.begin(), answer.end(), named(extension.name)) > 1) {
      return "The answer has an extension twice.";
    }
    if (!equal_ignoring_case(extension.name, deflate_name)) continue;
    if (auto fault = fault_in_deflate(offer, extension)) return fault;
  }
  return std::nullopt;
}

std::uint8_t allowed_rsv(std::span<const Extension> answer) noexcept {
  if (answer.empty()) return 0;
  return std::all_of(answer.begin(), answer.end(), named(deflate_name)) ? rsv1 : rsv_all;
}

}  // namespace holdfast::ws
