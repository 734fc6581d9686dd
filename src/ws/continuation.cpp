#include "holdfast/ws/continuation.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "ws/deflate.hpp"
#include "ws/syntax.hpp"

namespace holdfast::ws {
namespace {

using Takeover = Deflate::Takeover;

void demand(Extension& extension, std::string_view flag) {
  const bool has_it = std::ranges::any_of(
      extension.parameters, [flag](const ExtensionParameter& each) { return each.name == flag; });
  if (!has_it) extension.parameters.push_back({std::string(flag), std::nullopt});
}

// Of an agreement, so the text has been parsed before.
std::vector<Extension> agreed_extensions(const Agreement& agreement) {
  const std::string_view values[] = {agreement.extensions};
  auto extensions = parse_extensions(values);
  return extensions ? std::move(extensions.value()) : std::vector<Extension>();
}

bool same_parameters(const Extension& one, const Extension& other) {
  return std::ranges::equal(one.parameters, other.parameters,
                            [](const ExtensionParameter& a, const ExtensionParameter& b) {
                              return a.name == b.name && a.value == b.value;
                            });
}

// Both are legal; the later one is a legal answer to the first one as an offer, so its server window and
// server takeover are right already.
bool goes_on(const Deflate& first, const Deflate& later) {
  if (later.client_bits < first.client_bits) return false;
  // The client takes its context over, this backend would forget it after each message.
  return first.client_takeover == Takeover::refused || later.client_takeover == Takeover::allowed;
}

bool fits(const Extension& first, const Extension& later) {
  if (!equal_ignoring_case(first.name, later.name)) return false;
  if (!is_deflate(first)) return same_parameters(first, later);
  const auto before = parse_deflate(first);
  const auto after = parse_deflate(later);
  return before && after && goes_on(*before, *after);
}

}  // namespace

std::vector<Extension> pinned_offer(std::span<const Extension> offer, ServerContext context) {
  std::vector<Extension> pinned;
  for (const Extension& each : offer) {
    if (!is_deflate(each)) continue;
    pinned.push_back(each);
    demand(pinned.back(), client_stays_fresh);
    if (context == ServerContext::must_go) demand(pinned.back(), server_stays_fresh);
  }
  return pinned;
}

Agreement pinned(Agreement agreement) {
  auto extensions = agreed_extensions(agreement);
  for (Extension& each : extensions) {
    if (is_deflate(each)) demand(each, client_stays_fresh);
  }
  agreement.extensions = to_text(extensions);
  return agreement;
}

Memory memory_of(const Agreement& agreement) {
  Memory memory;
  for (const Extension& each : agreed_extensions(agreement)) {
    const auto deflate = is_deflate(each) ? parse_deflate(each) : std::nullopt;
    if (!deflate) {
      memory.unknown = true;
      continue;
    }
    memory.of_client = deflate->client_takeover == Takeover::allowed;
    memory.of_server = deflate->server_takeover == Takeover::allowed;
  }
  return memory;
}

Offer offer_again(const Agreement& agreement) {
  return {agreement.subprotocol, agreement.extensions};
}

Judged<void> check_later_answer(const ResponseHead& head, const Agreement& first, std::string_view key) {
  ClientHandshake again;
  if (!first.subprotocol.empty()) again.subprotocols.push_back(first.subprotocol);
  again.extensions = agreed_extensions(first);
  const auto later = check_answer(head, again, key);
  if (!later) return later.error();
  if (later->subprotocol != first.subprotocol) {
    return Rejection{502, "The backend did not choose the session's subprotocol.", {}};
  }
  if (!std::ranges::equal(again.extensions, agreed_extensions(*later), fits)) {
    return Rejection{502, "The backend's extensions are not those of the session.", {}};
  }
  return {};
}

}  // namespace holdfast::ws
