// What the operator does to live sessions: states of backends, lists, moves, closes. The session threads are
// asked by values in their inboxes; the control thread waits for their answers, but not for long.

#include <algorithm>
#include <future>

#include "holdfast/session/orders.hpp"
#include "server/process.hpp"
#include "server/rebalance.hpp"

namespace holdfast::server {

namespace {

constexpr std::chrono::seconds answer_timeout{2};

upstream::AdminState state_of(admin::BackendState state) {
  switch (state) {
    case admin::BackendState::active:
      return upstream::AdminState::active;
    case admin::BackendState::draining:
      return upstream::AdminState::draining;
    case admin::BackendState::disabled:
      return upstream::AdminState::disabled;
  }
  return upstream::AdminState::active;
}

// Sends each shard what `make` makes and collects the answers; nothing if one of them is late. A late answer
// goes nowhere: the promise is its item's own.
template <class Item, class Make>
auto ask_all(const std::vector<std::unique_ptr<session::Shard>>& shards, Make make) {
  using Answer = decltype(std::declval<Item&>().answer.get_future().get());
  std::vector<std::future<Answer>> futures;
  for (const auto& shard : shards) {
    std::unique_ptr<Item> item = make();
    futures.push_back(item->answer.get_future());
    shard->send(std::move(item));
  }
  std::optional<std::vector<Answer>> answers(std::in_place);
  const TimePoint deadline = Clock::now() + answer_timeout;
  for (auto& future : futures) {
    if (future.wait_until(deadline) != std::future_status::ready) return std::optional<std::vector<Answer>>{};
    answers->push_back(future.get());
  }
  return answers;
}

nlohmann::json traffic(const session::Traffic& flow) {
  return {{"frames", flow.frames}, {"bytes", flow.bytes}};
}

nlohmann::json to_json(const session::SessionView& view) {
  return {{"id", view.id.text()},
          {"client", view.client},
          {"listener", view.listener},
          {"route", view.route},
          {"upstream", view.upstream},
          {"backend", view.backend},
          {"state", view.state},
          {"age_seconds", static_cast<double>(view.age_ms) / 1000},
          {"reroutes", view.reroutes},
          {"to_backend", traffic(view.to_backend)},
          {"to_client", traffic(view.to_client)}};
}

}  // namespace

void Server::Process::tell_to_move(const Movements::Backends& from, Cause cause, std::uint64_t most) {
  const std::size_t shards = planes_->shards.size();
  // With another first one each time, so that what is left of a division isn't always the same shard's.
  const std::vector<std::uint64_t> parts = most == Movements::everybody
                                               ? std::vector<std::uint64_t>(shards, most)
                                               : divide(most, shards, first_told_++ % shards);
  for (std::size_t n = 0; n < shards; ++n) {
    if (parts[n] == 0) continue;
    planes_->shards[n]->send(std::make_unique<session::MoveSessions>(
        session::MoveSessions::Backends(from.begin(), from.end()), cause, parts[n]));
  }
}

admin::StateOutcome Server::Process::set_backend_state(const std::string& upstream,
                                                       const std::string& backend,
                                                       admin::BackendState state) {
  const auto serving = present_.get();
  for (const auto& destination : serving->destinations) {
    if (destination->upstream->name() != upstream) continue;
    for (const auto& member : destination->upstream->backends()) {
      if (member->address() != backend) continue;
      change_state(member, state);
      return admin::StateOutcome::done;
    }
    return admin::StateOutcome::no_such_backend;
  }
  return admin::StateOutcome::no_such_upstream;
}

void Server::Process::change_state(const std::shared_ptr<upstream::Backend>& backend,
                                   admin::BackendState state) {
  backend->set_admin_state(state_of(state));
  journal_.info("backend " + backend->upstream() + "/" + backend->address() + " is " +
                std::string(admin::text(state)) + " (operator)");
  switch (state) {
    case admin::BackendState::active:
      return movements_.comes(*backend);
    case admin::BackendState::draining:
      return movements_.leaves(backend, Cause::draining);
    case admin::BackendState::disabled:
      return movements_.leaves(backend, Cause::disabled);
  }
}

std::uint64_t Server::Process::count_sessions(const std::string& upstream) const {
  std::uint64_t count = 0;
  if (upstream.empty()) {
    for (const auto& [name, listener] : planes_->lasting.listeners)
      count += planes_->registry.open_sessions(name);
    return count;
  }
  for (const auto& backend : planes_->lasting.backends.all()) {
    if (backend->upstream() == upstream) count += backend->sessions();
  }
  return count;
}

std::optional<nlohmann::json> Server::Process::sessions(const admin::SessionQuery& query) {
  auto answers = ask_all<session::ListSessions>(planes_->shards, [&] {
    auto item = std::make_unique<session::ListSessions>();
    item->upstream = query.upstream;
    item->most = query.limit;
    return item;
  });
  if (!answers) return std::nullopt;
  std::vector<session::SessionView> views;
  for (auto& answer : *answers) std::ranges::move(answer, std::back_inserter(views));
  std::ranges::stable_sort(views, std::greater{}, &session::SessionView::age_ms);
  if (views.size() > query.limit) views.resize(query.limit);
  nlohmann::json list = nlohmann::json::array();
  for (const session::SessionView& view : views) list.push_back(to_json(view));
  const std::uint64_t total = std::max<std::uint64_t>(count_sessions(query.upstream), list.size());
  return nlohmann::json{{"sessions", std::move(list)}, {"total", total}};
}

admin::SessionAnswer Server::Process::order(const admin::SessionKey& session, admin::SessionAction action) {
  const auto answers = ask_all<session::SessionOrder>(planes_->shards, [&] {
    auto item = std::make_unique<session::SessionOrder>();
    item->id.bytes = session;
    item->what = action == admin::SessionAction::close ? session::SessionOrder::What::close
                                                       : session::SessionOrder::What::move;
    return item;
  });
  if (!answers) return {admin::SessionOutcome::busy, {}};
  const auto found = std::ranges::find(*answers, true, &session::SessionOrder::Answer::found);
  if (found == answers->end()) return {admin::SessionOutcome::no_such_session, {}};
  if (found->why_not != nullptr) return {admin::SessionOutcome::refused, found->why_not};
  return {};
}

std::optional<std::vector<admin::SessionsToMove>> Server::Process::rebalance(const std::string& upstream) {
  const auto excess = movements_.rebalance(upstream, Clock::now());
  if (!excess) return std::nullopt;
  std::vector<admin::SessionsToMove> out;
  std::uint64_t total = 0;
  for (const Movements::Excess& each : *excess) {
    out.push_back({each.backend, each.sessions});
    total += each.sessions;
  }
  journal_.info("rebalance of " + upstream + ": " + std::to_string(total) + " sessions (operator)");
  return out;
}

}  // namespace holdfast::server
