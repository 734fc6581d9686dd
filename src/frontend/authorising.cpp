#include "frontend/authorising.hpp"

#include <algorithm>
#include <utility>

#include "holdfast/auth/credentials.hpp"

namespace holdfast::frontend {

namespace asio = boost::asio;
using metrics::ForwardResult;
using metrics::HandshakeResult;
using metrics::TokenResult;

namespace {

bool may_be_subprotocol(const config::Jwt& rules) {
  return std::ranges::find(rules.from, config::TokenPlace::Kind::subprotocol, &config::TokenPlace::kind) !=
         rules.from.end();
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// RFC 6750 section 3.1: whoever showed no token is told no error.
Refusal refuse_token(TokenResult result) {
  Refusal refusal;
  const bool none = result == TokenResult::missing;
  refusal.answer = {
      401, none ? "A token is needed." : "The token is not valid.",
      none ? "WWW-Authenticate: Bearer\r\n" : "WWW-Authenticate: Bearer error=\"invalid_token\"\r\n"};
  refusal.why = "token: " + std::string(metrics::text(result));
  return refusal;
}

ForwardResult result_of(const Error& error) {
  if (error.failure == Failure::timeout) return ForwardResult::timeout;
  return error.failure == Failure::garbage ? ForwardResult::unexpected : ForwardResult::unreachable;
}

auth::Ruling no_ruling(const Error& error) {
  auth::Ruling ruling;
  ruling.result = result_of(error);
  ruling.what = error.what;
  return ruling;
}

asio::awaitable<auth::Ruling> put_question(SetupThread& thread, std::shared_ptr<const RouteAuth> route,
                                           std::string question, net::GiveUp* give_up) {
  const config::ForwardAuth& settings = *route->settings.forward_auth;
  const TimePoint deadline = Clock::now() + settings.timeout;
  config::Address address = settings.address;
  std::string no_proxy_header;
  auto connected =
      co_await dial::connect(thread.io(), route->service, std::move(address), std::move(no_proxy_header),
                             *thread.surroundings().budget, deadline, give_up);
  if (!connected) co_return no_ruling(connected.error());
  std::unique_ptr<net::AsyncLeg> leg = std::move(connected.value());
  leg->expires_at(deadline);
  auto answer = co_await dial::exchange(*leg, std::move(question));
  leg->obey(nullptr);
  if (!answer) co_return no_ruling(answer.error());
  co_return auth::read_ruling(answer.value().head, settings);
}

}  // namespace

std::optional<Refusal> check_token(const RouteAuth& route, metrics::AuthCells& cells,
                                   const ws::RequestHead& head, ws::ClientHandshake& request,
                                   auth::WallTime now, Admission& admission) {
  const config::Jwt& rules = *route.settings.jwt;
  auth::FoundToken found = auth::find_token(head, request, rules.from);
  auth::TokenVerdict verdict{found.result, {}};
  if (found.result == TokenResult::accepted) verdict = auth::judge_token(found.token, rules, route.keys, now);
  cells.token(verdict.result);
  if (verdict.result != TokenResult::accepted) return refuse_token(verdict.result);
  admission.until = verdict.grant.until;
  if (rules.strip == config::Jwt::Token::stripped)
    auth::strip_tokens(head, request, rules.from, admission.edits);
  // What a client sends under these names is never believed, whether its token has the claim or not.
  for (const auto& [claim, field] : rules.claims_to_headers) admission.edits.withheld.push_back(field);
  for (auto& [field, value] : verdict.grant.fields)
    admission.edits.granted.push_back({field, std::move(value)});
  if (!may_be_subprotocol(rules)) return std::nullopt;
  auth::Subprotocols parts = auth::part_subprotocols(request.subprotocols);
  if (parts.tokens.empty()) return std::nullopt;
  request.subprotocols = std::move(parts.others);
  admission.offered = joined(request.subprotocols);
  admission.bearer = std::move(parts.bearer);
  return std::nullopt;
}

// Tokens among the subprotocols are left out of what backends are offered, which no service sees.
ws::ForwardedBy for_service(ws::ForwardedBy by, const RouteAuth& route, const Admission& admission) {
  const auto& jwt = route.settings.jwt;
  if (!jwt || jwt->strip != config::Jwt::Token::stripped || !admission.offered) return by;
  by.edits.withheld.emplace_back("Sec-WebSocket-Protocol");
  if (!admission.offered->empty()) by.edits.granted.push_back({"Sec-WebSocket-Protocol", *admission.offered});
  return by;
}

asio::awaitable<auth::Ruling> ask_service(SetupThread& thread, std::shared_ptr<const RouteAuth> route,
                                          std::string question, net::GiveUp* give_up) {
  metrics::AuthCells& cells = *route->cells[thread.surroundings().index];
  const Milliseconds good_for = route->settings.forward_auth->cache;
  const bool remembers = good_for.count() != 0;
  const TimePoint begun = Clock::now();
  auth::QuestionDigest digest{};
  if (remembers) {
    digest = auth::digest_of(route->service_key, question);
    if (const auth::Ruling* known = thread.rulings().find(digest, good_for, begun); known != nullptr) {
      cells.cache_hits.add();
      cells.forward(known->result);
      co_return *known;
    }
  }
  auth::Ruling ruling = co_await put_question(thread, route, std::move(question), give_up);
  if (give_up->requested()) co_return ruling;  // nobody waits for it any more: it says nothing of the service
  cells.forward_duration.observe(Clock::now() - begun);
  cells.forward(ruling.result);
  // From when it was asked: what it says may have changed since.
  if (remembers && ruling.is_lasting()) thread.rulings().put(digest, ruling, begun);
  co_return ruling;
}

std::optional<Refusal> apply_ruling(auth::Ruling ruling, const config::ForwardAuth& settings,
                                    Admission& admission) {
  if (ruling.result == ForwardResult::allowed) {
    for (const std::string& name : settings.copy_headers) admission.edits.withheld.push_back(name);
    for (ws::ExtraField& field : ruling.fields) admission.edits.granted.push_back(std::move(field));
    return std::nullopt;
  }
  Refusal refusal;
  if (ruling.result == ForwardResult::denied) {
    std::string fields;
    for (const ws::ExtraField& field : ruling.fields) fields += field.name + ": " + field.value + "\r\n";
    refusal.answer = {ruling.status, "The request is not authorised.", std::move(fields)};
    refusal.why = "forward_auth: denied " + std::to_string(ruling.status);
    return refusal;
  }
  refusal.answer = {503, "authorisation is not available", "Retry-After: 2\r\n"};
  refusal.result = HandshakeResult::auth_failed;
  refusal.why = "forward_auth: " + std::string(metrics::text(ruling.result)) + ": " + ruling.what;
  return refusal;
}

std::uint32_t token_lasts_100ms(const Admission& admission, auth::WallTime now) noexcept {
  if (!admission.until) return 0;
  const std::int64_t tenths = ((*admission.until - now).count() + 99) / 100;
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(tenths, 1, UINT32_MAX));
}

}  // namespace holdfast::frontend
