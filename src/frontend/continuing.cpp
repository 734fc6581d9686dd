#include "frontend/continuing.hpp"

#include <utility>

namespace holdfast::frontend {

using config::Compression;

namespace {

Compression compression_of(const config::Reroute& reroute) {
  const bool pins_for_nothing = reroute.on.empty() && reroute.compression == Compression::pin;
  return pins_for_nothing ? Compression::pass : reroute.compression;
}

}  // namespace

std::vector<ws::Extension> extensions_to_offer(const config::Reroute& reroute,
                                               const std::vector<ws::Extension>& of_client) {
  const auto context =
      reroute.preamble_answers > 0 ? ws::ServerContext::must_go : ws::ServerContext::may_stay;
  switch (compression_of(reroute)) {
    case Compression::pin:
      return ws::pinned_offer(of_client, context);
    case Compression::strip:
      return {};
    case Compression::pass:
      break;
  }
  return of_client;
}

ws::Offer first_offer(const config::Reroute& reroute, const std::vector<ws::Extension>& offered) {
  ws::Offer offer;
  if (compression_of(reroute) != Compression::pass) offer.extensions = ws::to_text(offered);
  return offer;
}

ws::Agreement agreement_with_client(const config::Reroute& reroute, ws::Agreement agreement) {
  return compression_of(reroute) == Compression::pin ? ws::pinned(std::move(agreement)) : agreement;
}

session::Continuity continuity_of(const config::Reroute& reroute, const ws::Agreement& agreement) {
  const ws::Memory memory = ws::memory_of(agreement);
  // An answer that is swallowed would be missing from what the client's decompressor remembers.
  const bool swallows = memory.of_server && reroute.preamble_answers > 0;
  if (memory.unknown || swallows) return session::Continuity::none;
  return memory.of_client ? session::Continuity::until_used : session::Continuity::whole;
}

std::unique_ptr<const session::Continuation> keep_for_reroutes(
    const config::Reroute& reroute, const ws::Agreement& agreement, const ws::RequestHead& head,
    std::string_view stem, CommonFields& common_fields, std::string_view proxy_header) {
  if (reroute.on.empty()) return nullptr;
  const std::string request = ws::with_offer(stem, head, {}, ws::offer_again(agreement));
  return session::Continuation::make(common_fields.split(request), agreement.subprotocol,
                                     agreement.extensions, proxy_header);
}

}  // namespace holdfast::frontend
