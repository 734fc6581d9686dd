#include "admin/api.hpp"

#include <arpa/inet.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "admin/target.hpp"
#include "holdfast/config/match.hpp"

namespace holdfast::admin {
namespace {

using nlohmann::json;

constexpr std::array<BackendState, 3> backend_states{BackendState::active, BackendState::draining,
                                                     BackendState::disabled};
constexpr std::array<SessionAction, 2> session_actions{SessionAction::close, SessionAction::move};
constexpr const char* busy = "the session threads did not answer in time";

std::string print(const json& value) {
  // Names come from operators and errors from anywhere: never throw on their bytes.
  return value.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

Reply json_reply(unsigned status, const json& value) {
  Reply reply;
  reply.status = status;
  reply.body = print(value);
  return reply;
}

// Addresses and "localhost" can't be pointed elsewhere by a name server.
bool is_safe_host(const std::string& field, const config::Admin& settings) {
  if (settings.bind && settings.bind->kind == config::AddressKind::unix_path) return true;
  const std::string host(config::host_without_port(field));
  in_addr v4{};
  in6_addr v6{};
  const bool numeric =
      inet_pton(AF_INET, host.c_str(), &v4) == 1 || inet_pton(AF_INET6, host.c_str(), &v6) == 1;
  return numeric || host == "localhost" || (settings.bind && host == settings.bind->host);
}

bool has_token(const Request& request, const std::string& token) {
  constexpr std::string_view scheme = "Bearer ";
  if (!request.authorization || request.authorization->size() != scheme.size() + token.size()) return false;
  const std::string_view given(*request.authorization);
  const auto equal_ignoring_case = [](char a, char b) { return (a | 0x20) == (b | 0x20); };
  if (!std::equal(scheme.begin(), scheme.end(), given.begin(), equal_ignoring_case)) return false;
  return CRYPTO_memcmp(given.data() + scheme.size(), token.data(), token.size()) == 0;
}

bool is_for_everybody(const std::vector<std::string>& path, const config::Admin& settings) {
  if (path.size() != 1) return false;
  if (path[0] == "metrics") return settings.metrics_open == config::Admin::MetricsAccess::open;
  return path[0] == "healthz" || path[0] == "readyz";
}

// Nothing if the request may go on.
std::optional<Reply> refuse(const Request& request, const Target& target, const config::Admin& settings) {
  if (request.host_count > 1) return error_reply(400, "more than one Host field");
  const bool foreign =
      request.method == "POST" && request.origin && *request.origin != "http://" + request.host;
  if (foreign) return error_reply(403, "this Origin may not change anything here");
  if (is_for_everybody(target.path, settings)) return std::nullopt;
  if (!settings.token.empty() && !has_token(request, settings.token)) {
    Reply reply = error_reply(401, "needs the header Authorization: Bearer TOKEN");
    reply.challenge = "Bearer";
    return reply;
  }
  if (settings.token.empty() && !is_safe_host(request.host, settings)) {
    return error_reply(403, "the Host field must be an address or localhost, since no token is set");
  }
  return std::nullopt;
}

Reply wrong_method(const char* allow) {
  Reply reply = error_reply(405, std::string("only ") + allow + " is allowed here");
  reply.allow = allow;
  return reply;
}

Reply ready(const Target& target, Control& control) {
  const auto route = query_value(target, "route");
  const Ready state = control.ready(route);
  if (state.readiness == Readiness::no_such_route) return error_reply(404, "no such route");
  const bool is_ready = state.readiness == Readiness::ready;
  return json_reply(is_ready ? 200 : 503, {{"ready", is_ready}, {"details", state.details}});
}

Reply reload(Control& control) {
  const ReloadOutcome outcome = control.reload();
  if (outcome.result == ReloadOutcome::Result::applied) {
    return json_reply(
        200,
        {{"generation", outcome.generation}, {"changes", outcome.changes}, {"warnings", outcome.warnings}});
  }
  return json_reply(400, {{"error", "the configuration is not valid; the old one stays"},
                          {"errors", outcome.errors},
                          {"generation", outcome.generation}});
}

Reply set_state(const std::vector<std::string>& path, BackendState state, Control& control) {
  const std::string& upstream = path[1];
  const std::string& backend = path[3];
  switch (control.set_backend_state(upstream, backend, state)) {
    case StateOutcome::done:
      return json_reply(200, {{"upstream", upstream}, {"backend", backend}, {"state", text(state)}});
    case StateOutcome::no_such_upstream:
      return error_reply(404, "no such upstream: " + upstream);
    case StateOutcome::no_such_backend:
      return error_reply(404, "upstream " + upstream + " has no backend " + backend);
  }
  return error_reply(500, "unexpected outcome");
}

// A number from 1 to `most`, or nothing.
std::optional<std::size_t> parse_limit(std::string_view text, std::size_t most) {
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = error == std::errc{} && end == text.data() + text.size();
  if (!whole || number == 0 || number > most) return std::nullopt;
  return number;
}

Reply sessions(const Target& target, Control& control) {
  SessionQuery query;
  query.upstream = query_value(target, "upstream").value_or("");
  if (const auto text = query_value(target, "limit")) {
    const auto limit = parse_limit(*text, SessionQuery::most);
    if (!limit)
      return error_reply(400, "limit must be a number from 1 to " + std::to_string(SessionQuery::most));
    query.limit = *limit;
  }
  const auto found = control.sessions(query);
  return found ? json_reply(200, *found) : error_reply(503, busy);
}

std::optional<SessionKey> parse_session(std::string_view digits) {
  SessionKey key{};
  if (digits.size() != 2 * key.size()) return std::nullopt;
  for (std::size_t n = 0; n < key.size(); ++n) {
    const char* pair = digits.data() + 2 * n;
    const auto [end, error] = std::from_chars(pair, pair + 2, key[n], 16);
    if (error != std::errc{} || end != pair + 2) return std::nullopt;
  }
  return key;
}

Reply order(const std::string& session, SessionAction action, Control& control) {
  const auto key = parse_session(session);
  if (!key) return error_reply(400, "a session's id has 32 hexadecimal digits");
  const SessionAnswer answer = control.order(*key, action);
  switch (answer.outcome) {
    case SessionOutcome::done:
      return json_reply(200, {{"session", session}, {"action", text(action)}});
    case SessionOutcome::no_such_session:
      return error_reply(404, "no such session: " + session);
    case SessionOutcome::refused:
      return error_reply(
          409, "session " + session + " can't " + std::string(text(action)) + ": " + answer.why_refused);
    case SessionOutcome::busy:
      return error_reply(503, busy);
  }
  return error_reply(500, "unexpected outcome");
}

Reply rebalance(const std::string& upstream, Control& control) {
  const auto moves = control.rebalance(upstream);
  if (!moves) return error_reply(404, "no such upstream: " + upstream);
  json backends = json::array();
  std::uint64_t total = 0;
  for (const SessionsToMove& each : *moves) {
    total += each.sessions;
    backends.push_back({{"address", each.backend}, {"to_move", each.sessions}});
  }
  return json_reply(200, {{"upstream", upstream}, {"to_move", total}, {"backends", std::move(backends)}});
}

// Endpoints that only read.
std::optional<Reply> read(const Request& request, const Target& target, Control& control) {
  if (target.path.size() != 1) return std::nullopt;
  const std::string& name = target.path[0];
  constexpr std::array<std::string_view, 5> names{"metrics", "healthz", "readyz", "status", "sessions"};
  if (std::ranges::find(names, name) == names.end()) return std::nullopt;
  if (request.method != "GET" && request.method != "HEAD") return wrong_method("GET, HEAD");
  if (name == "healthz") return json_reply(200, {{"alive", true}});
  if (name == "readyz") return ready(target, control);
  if (name == "status") return json_reply(200, control.status());
  if (name == "sessions") return sessions(target, control);
  Reply reply;
  reply.content_type = "text/plain; version=0.0.4; charset=utf-8";
  reply.body = control.metrics_text();
  return reply;
}

// Endpoints that change something: what to do for a path, or nothing if it is none of them.
using Deed = std::function<Reply()>;

Deed find_deed(const std::vector<std::string>& path, Control& control) {
  if (path.size() == 1 && path[0] == "reload") return [&] { return reload(control); };
  if (path.size() == 3 && path[0] == "upstreams" && path[2] == "rebalance")
    return [&] { return rebalance(path[1], control); };
  for (const SessionAction action : session_actions) {
    if (path.size() == 3 && path[0] == "sessions" && path[2] == text(action))
      return [&, action] { return order(path[1], action, control); };
  }
  const bool is_backend = path.size() == 5 && path[0] == "upstreams" && path[2] == "backends";
  for (const BackendState state : backend_states) {
    if (is_backend && path[4] == text(state)) return [&, state] { return set_state(path, state, control); };
  }
  return nullptr;
}

std::optional<Reply> change(const Request& request, const std::vector<std::string>& path, Control& control) {
  const Deed deed = find_deed(path, control);
  if (!deed) return std::nullopt;
  return request.method == "POST" ? deed() : wrong_method("POST");
}

}  // namespace

std::string_view text(BackendState state) noexcept {
  constexpr std::array<std::string_view, 3> words{"active", "draining", "disabled"};
  return words[static_cast<std::size_t>(state)];
}

std::string_view text(SessionAction action) noexcept {
  return action == SessionAction::close ? "close" : "move";
}

Reply error_reply(unsigned status, const std::string& what) {
  return json_reply(status, {{"error", what}});
}

Reply handle(const Request& request, const config::Admin& settings, Control& control) {
  const auto target = parse_target(request.target);
  if (!target) return error_reply(400, "the request target is not valid");
  if (auto refused = refuse(request, *target, settings)) return std::move(*refused);
  if (auto reply = read(request, *target, control)) return std::move(*reply);
  if (auto reply = change(request, target->path, control)) return std::move(*reply);
  return error_reply(404, "no such endpoint");
}

}  // namespace holdfast::admin
