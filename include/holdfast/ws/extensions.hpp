// Sec-WebSocket-Extensions: the grammar of RFC 6455 section 9.1 and the rules by which an answer
// fits an offer (RFC 6455 section 9.1, RFC 7692 section 7.1). Safe in every thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/ws/result.hpp"

namespace holdfast::ws {

struct ExtensionParameter {
  std::string name;
  std::optional<std::string> value;  // without quotes
};

struct Extension {
  std::string name;
  std::vector<ExtensionParameter> parameters;
};

// All fields of one head, in order. Rejection 400 when the grammar is broken (a caller that reads a
// backend's answer makes it 502).
[[nodiscard]] Judged<std::vector<Extension>> parse_extensions(std::span<const std::string_view> values);

// As a field value: "name; parameter=value, name". Values are tokens, so none needs quotes.
[[nodiscard]] std::string to_text(std::span<const Extension> extensions);

// What is wrong with `answer`, or nothing. Each extension of the answer must have been offered and
// may appear once; permessage-deflate must be a legal answer to one of its offers.
[[nodiscard]] std::optional<std::string> fault_in_answer(std::span<const Extension> offer,
                                                         std::span<const Extension> answer);

// What an end point of ours answers to an offer of permessage-deflate (RFC 7692) that takes messages which
// are each deflated by itself with a window of 15 bits, so that one message can be the same for many clients.
inline constexpr std::string_view lone_messages =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
[[nodiscard]] bool takes_lone_messages(std::span<const Extension> offer) noexcept;

// Reserved bits that frames may carry after this answer: 0x40 for permessage-deflate alone; all
// three when an extension is agreed whose rules we do not know.
[[nodiscard]] std::uint8_t allowed_rsv(std::span<const Extension> answer) noexcept;

}  // namespace holdfast::ws
