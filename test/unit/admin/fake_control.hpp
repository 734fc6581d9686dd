#pragma once
// Answers of the process as a test wants them, and what it was asked.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "holdfast/admin/control.hpp"

namespace holdfast::admin::test {

class FakeControl : public Control {
 public:
  std::vector<std::string> calls;
  Ready readiness{Readiness::ready, {}};
  ReloadOutcome outcome{ReloadOutcome::Result::applied, 2, {"backend chat/b:1 added"}, {}, {}};
  StateOutcome state_outcome = StateOutcome::done;
  std::string metrics = "# nothing\n";
  std::optional<nlohmann::json> session_list =
      nlohmann::json{{"sessions", nlohmann::json::array()}, {"total", 0}};
  SessionOutcome session_outcome = SessionOutcome::done;
  std::optional<std::vector<SessionsToMove>> to_move = std::vector<SessionsToMove>{{"b:1", 40}, {"b:2", 0}};

  std::string metrics_text() override { return metrics; }
  Ready ready(const std::optional<std::string>& route) override {
    calls.push_back("ready " + route.value_or("-"));
    return readiness;
  }
  nlohmann::json status() override { return {{"version", "0.1.0"}, {"broken", "\xff"}}; }
  ReloadOutcome reload() override {
    calls.emplace_back("reload");
    return outcome;
  }
  StateOutcome set_backend_state(const std::string& upstream, const std::string& backend,
                                 BackendState state) override {
    calls.push_back(upstream + " " + backend + " " + std::string(text(state)));
    return state_outcome;
  }
  std::optional<nlohmann::json> sessions(const SessionQuery& query) override {
    calls.push_back("sessions " + std::to_string(query.limit) + " " + query.upstream);
    return session_list;
  }
  SessionAnswer order(const SessionKey& session, SessionAction action) override {
    calls.push_back(std::string(text(action)) + " " + std::to_string(session.front()) + " " +
                    std::to_string(session.back()));
    return {session_outcome, "it is closing"};
  }
  std::optional<std::vector<SessionsToMove>> rebalance(const std::string& upstream) override {
    calls.push_back("rebalance " + upstream);
    return to_move;
  }
};

}  // namespace holdfast::admin::test
