#include "holdfast/session/shard.hpp"

#include <algorithm>

#include "session/kind.hpp"
#include "session/moves.hpp"
#include "session/session.hpp"

namespace holdfast::session {

Shard::Shard(Surroundings surroundings)
    : surroundings_(surroundings),
      loop_(static_cast<net::Host&>(*this)),
      moves_(std::make_unique<Moves>(*this)),
      sessions_(std::make_unique<Slab<Session>>()),
      hold_memory_(surroundings.hold_memory),
      random_([] {
        // Masks need an unpredictable start (RFC 6455 section 5.3): 256 bits of it.
        std::random_device device;
        std::seed_seq seed{device(), device(), device(), device(), device(), device(), device(), device()};
        return std::mt19937_64(seed);
      }()) {}

Shard::~Shard() {
  cut_all();
  on_turn_end();
}

void Handover::deliver_to(Shard& shard) noexcept {
  shard.attach(*this);
}

void Shard::deliver(std::unique_ptr<InboxItem> item) noexcept {
  // Only ShardItems are sent here, see `send`.
  static_cast<ShardItem&>(*item).deliver_to(*this);
}

void Shard::attach(Handover& handover) noexcept {
  Session* const session = sessions_->create(kind_of(handover), handover).first;
  session->start(handover);
  // Picked before a reload that it is not in any more.
  if (session->is_running() && !session->upstream_state()->is_present()) session->end(Reason::upstream_gone);
  if (closing_for_ != Reason::none) session->end(closing_for_);
}

void Shard::end_all(Reason reason, std::chrono::milliseconds spread) noexcept {
  closing_for_ = reason;
  end_spread(reason, spread);
  if (guest_ != nullptr) guest_->end_all(reason, spread);
}

void Shard::end_upstreams(std::chrono::milliseconds spread) noexcept {
  end_spread(Reason::upstream_gone, spread);
}

void Shard::end_spread(Reason reason, std::chrono::milliseconds spread) noexcept {
  std::vector<Session*> leaving;
  sessions_->for_each([&](Session& session, Handle) {
    if (!session.is_running()) return;
    const bool stays = reason == Reason::upstream_gone && session.upstream_state()->is_present();
    if (!stays) leaving.push_back(&session);
  });
  const Tick now = loop_.now();
  for (std::size_t n = 0; n < leaving.size(); ++n) {
    const auto wait = static_cast<std::uint64_t>(spread.count()) * n / leaving.size();
    leaving[n]->end_at(reason, now + static_cast<Tick>(wait));
  }
}

void Shard::cut_all() noexcept {
  sessions_->for_each([](Session& session, Handle) { session.cut(Reason::drain); });
  if (guest_ != nullptr) guest_->cut_all();
}

void Shard::want_move(Handle session, const std::shared_ptr<upstream::UpstreamState>& upstream, Cause cause) {
  moves_->want(session, upstream, cause);
}

bool Shard::may_begin_move() const noexcept {
  return moves_->has_room();
}

void Shard::move_began() noexcept {
  moves_->began();
}

void Shard::move_ended() noexcept {
  moves_->ended();
}

std::uint32_t Shard::moves_under_way() const noexcept {
  return moves_->under_way();
}

Handle Shard::handle_of(const Session& session) const noexcept {
  return sessions_->handle_of(session);
}

const Kind& Shard::kind_of(const Handover& handover) {
  std::unique_ptr<Kind>& place = kinds_[{handover.route, handover.open_sessions}];
  if (place == nullptr) {
    RouteState& route = *handover.route;
    place.reset(new Kind{*this, route, route.cells(surroundings_.pump_thread), *handover.open_sessions,
                         handover.story.listener});
  }
  return *place;
}

Session* Shard::find(Handle handle) noexcept {
  return sessions_->find(handle);
}

void Shard::deliver_reply(AttemptReply& reply) noexcept {
  if (Session* session = sessions_->find(reply.session)) session->reply(reply);
}

void Shard::warn_mute_to_pings(const upstream::Backend& backend) {
  std::string name = backend.upstream() + "/" + backend.address();
  if (std::ranges::find(mute_to_pings_, name) != mute_to_pings_.end()) return;
  surroundings_.warnings.warn(
      "backend " + name +
      " does not answer WebSocket pings (RFC 6455 section 5.5.2): silence of its sessions is "
      "noticed by TCP only");
  mute_to_pings_.push_back(std::move(name));
}

void Shard::on_turn_end() noexcept {
  if (guest_ != nullptr) guest_->on_turn_end();
  for (const Handle handle : retired_) {
    Session* session = sessions_->find(handle);
    if (session == nullptr) continue;
    loop_.forget(*session);
    sessions_->destroy(handle);
  }
  retired_.clear();
  ends_in_turn_ = 0;
  const auto held = static_cast<std::int64_t>(loop_.buffers().outstanding_bytes());
  if (held == held_bytes_) return;
  surroundings_.cells.held_bytes.add(held - held_bytes_);
  held_bytes_ = held;
}

void Shard::for_each(const std::function<void(Session&, Handle)>& visit) {
  sessions_->for_each(visit);
}

void Shard::on_turn_measured(std::chrono::nanoseconds busy) noexcept {
  surroundings_.cells.loop_lag.observe(busy);
}

}  // namespace holdfast::session
