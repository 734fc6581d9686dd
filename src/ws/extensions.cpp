#include "holdfast/ws/extensions.hpp"

#include <algorithm>
#include <utility>

#include "holdfast/ws/frame.hpp"
#include "ws/deflate.hpp"
#include "ws/syntax.hpp"

namespace holdfast::ws {
namespace {

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

std::optional<std::string> fault_in_deflate(std::span<const Extension> offer, const Extension& extension) {
  const auto answer = parse_deflate(extension);
  if (!answer) return "The permessage-deflate answer has an illegal parameter.";
  const bool granted = std::any_of(offer.begin(), offer.end(), [&](const Extension& one) {
    if (!is_deflate(one)) return false;
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

std::string to_text(std::span<const Extension> extensions) {
  std::string text;
  for (const Extension& extension : extensions) {
    if (!text.empty()) text += ", ";
    text += extension.name;
    for (const ExtensionParameter& parameter : extension.parameters) {
      text.append("; ").append(parameter.name);
      if (parameter.value) text.append("=").append(*parameter.value);
    }
  }
  return text;
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
    if (!is_deflate(extension)) continue;
    if (auto fault = fault_in_deflate(offer, extension)) return fault;
  }
  return std::nullopt;
}

std::uint8_t allowed_rsv(std::span<const Extension> answer) noexcept {
  if (answer.empty()) return 0;
  return std::all_of(answer.begin(), answer.end(), is_deflate) ? rsv1 : rsv_all;
}

bool takes_lone_messages(std::span<const Extension> offer) noexcept {
  const auto fits = [](const Extension& each) {
    if (each.name != "permessage-deflate") return false;
    for (const ExtensionParameter& parameter : each.parameters) {
      if (parameter.name == "server_max_window_bits" && parameter.value != "15") return false;
    }
    return true;
  };
  return std::any_of(offer.begin(), offer.end(), fits);
}

}  // namespace holdfast::ws
