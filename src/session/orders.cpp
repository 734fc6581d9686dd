#include "holdfast/session/orders.hpp"

#include "session/session.hpp"

namespace holdfast::session {

void AttemptReply::deliver_to(Shard& shard) noexcept {
  shard.deliver_reply(*this);
}

void MoveSessions::deliver_to(Shard& shard) noexcept {
  shard.move_sessions(*this);
}

void ListSessions::deliver_to(Shard& shard) noexcept {
  shard.list(*this);
}

void SessionOrder::deliver_to(Shard& shard) noexcept {
  shard.obey(*this);
}

bool MoveSessions::concerns(const upstream::Backend* backend) const noexcept {
  return std::ranges::binary_search(from, backend, {}, &std::shared_ptr<const upstream::Backend>::get);
}

void Shard::move_sessions(const MoveSessions& order) noexcept {
  std::uint64_t left = order.most;
  for_each([&](Session& session, Handle) {
    if (left == 0 || !order.concerns(session.backend()) || !session.is_running()) return;
    if (session.order_move(order.cause)) --left;
  });
}

void Shard::list(ListSessions& order) noexcept {
  std::vector<SessionView> seen;
  for_each([&](Session& session, Handle) {
    if (seen.size() >= order.most) return;
    if (!session.is_running()) return;
    if (order.upstream.empty() || session.upstream() == order.upstream)
      seen.push_back(session.view(loop_.now()));
  });
  if (guest_ != nullptr && order.upstream.empty()) guest_->list(seen, order.most);
  order.answer.set_value(std::move(seen));
}

void Shard::obey(SessionOrder& order) noexcept {
  SessionOrder::Answer answer;
  for_each([&](Session& session, Handle) {
    if (answer.found || !(session.id() == order.id) || !session.is_running()) return;
    answer.found = true;
    if (order.what == SessionOrder::What::close) {
      session.end(Reason::closed_by_operator);
    } else if (answer.why_not = session.why_no_requested_move(); answer.why_not == nullptr) {
      (void)session.order_move(Cause::requested);
    }
  });
  if (!answer.found && guest_ != nullptr) answer.found = guest_->obey(order, answer);
  order.answer.set_value(answer);
}

}  // namespace holdfast::session
