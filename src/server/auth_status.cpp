#include "server/auth_status.hpp"

#include <string>

namespace holdfast::server {

namespace {

template <class CounterOf>
std::uint64_t sum(const frontend::RouteAuth& auth, CounterOf counter_of) {
  std::uint64_t total = 0;
  for (const metrics::AuthCells* cells : auth.cells) total += counter_of(*cells).value();
  return total;
}

}  // namespace

nlohmann::json auth_status(const frontend::RouteEntry& route) {
  if (route.auth == nullptr) return nullptr;
  const frontend::RouteAuth& auth = *route.auth;
  nlohmann::json told{{"asks_for", config::summary(auth.settings)}};
  if (auth.settings.jwt) {
    told["keys"] = auth.keys.keys().size();
    const std::uint16_t code = auth.settings.jwt->at_expiry;
    told["at_expiry"] = code == config::Jwt::stay ? nlohmann::json("stay") : nlohmann::json(code);
    for (std::size_t n = 0; n < metrics::token_result_count; ++n)
      told["tokens"][std::string(metrics::text(static_cast<metrics::TokenResult>(n)))] = sum(
          auth, [n](const metrics::AuthCells& cells) -> const metrics::Counter& { return cells.tokens[n]; });
  }
  if (!auth.settings.forward_auth) return told;
  for (std::size_t n = 0; n < metrics::forward_result_count; ++n)
    told["forward"][std::string(metrics::text(static_cast<metrics::ForwardResult>(n)))] = sum(
        auth, [n](const metrics::AuthCells& cells) -> const metrics::Counter& { return cells.forwards[n]; });
  told["cache_hits"] =
      sum(auth, [](const metrics::AuthCells& cells) -> const metrics::Counter& { return cells.cache_hits; });
  return told;
}

}  // namespace holdfast::server
