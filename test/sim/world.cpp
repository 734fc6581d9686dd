#include "sim/world.hpp"

#include <algorithm>

#include "session/session.hpp"
#include "sim/judge.hpp"

namespace holdfast::sim {

namespace {
constexpr std::size_t most_steps = 30'000;
// After the exit a session may take so long, its timeouts aside, before it is ended by force, and then again.
constexpr std::uint64_t patience_ms = 15'000;
// A Tick may be anything, so its wrap is met, too.
constexpr std::uint32_t ping_pace = 25'600;
}  // namespace

World::World(Stage& stage, std::uint64_t seed, std::FILE* log)
    : stage_(stage),
      random_(seed),
      plan_(random_),
      log_(log),
      client_(surroundings(), plan_, legs_),
      now_(static_cast<Tick>(random_.chance(20) ? 0U - random_.below(3'000) : random_.any())) {
  for (std::size_t n = 0; n < homes; ++n)
    homes_[n] = std::make_shared<upstream::Backend>(upstream_, "backend" + std::to_string(n));
  stage_.give_to(this);
  begin();
}

World::~World() {
  stage_.shard.cut_all();
  stage_.loop().turn_at(now_, {});
  stage_.shard.end_all(Reason::none, Milliseconds(0));  // the next session is welcome
  stage_.give_to(nullptr);
}

Connection::Surroundings World::surroundings() noexcept {
  return {stage_.loop(), stage_.descriptors, random_, verdict_};
}

Backend& World::add_leg(std::shared_ptr<upstream::Backend> home) {
  const auto id = static_cast<unsigned>(legs_.size() + 1);
  legs_.push_back(std::make_unique<Backend>(surroundings(), plan_, id, std::move(home), client_));
  legs_.back()->connection.tell_time(now_);
  return *legs_.back();
}

void World::begin() {
  // Nothing is armed: the clock may be set to anything, in jumps that a Tick can tell.
  stage_.loop().turn_at(now_ - (1U << 30U), {});
  stage_.loop().turn_at(now_, {});
  stage_.shard.seed_random(random_.any());
  stage_.shard.set_hold_memory(plan_.hold_memory);
  upstream_->move_rate =
      random_.chance(50) ? 0 : static_cast<std::uint32_t>(random_.between(1, 10)) * ping_pace;
  route_.apply(plan_.route);
  facts_.continuable = !random_.chance(3);
  auto handover = std::make_unique<session::Handover>(*upstream::Seat::take(homes_[0]));
  Backend& leg = add_leg(homes_[0]);
  leg.adopted = true;
  handover->client = client_.connection.make_leg();
  handover->backend = leg.connection.make_leg();
  handover->route = &route_;
  handover->open_sessions = &stage_.open_sessions;
  handover->early_to_backend = client_.early();
  handover->early_to_client = leg.early();
  handover->id.bytes[0] = 1;
  handover->token_lasts_100ms = plan_.token_lasts_100ms;
  if (facts_.continuable) {
    continuation_ = session::Continuation::make(
        session::Continuation::Head{"GET / HTTP/1.1\r\n", nullptr, "", 0}, "", "");
    handover->continuation = continuation_->copy();
  }
  stage_.shard.expect_one();
  stage_.shard.send(std::move(handover));
  stage_.loop().turn_at(now_, {});
  stage_.shard.for_each([this](session::Session&, Handle handle) { handle_ = handle; });
}

session::Session* World::session() noexcept {
  return stage_.shard.find(handle_);
}

Backend* World::newest_leg() noexcept {
  for (auto each = legs_.rbegin(); each != legs_.rend(); ++each) {
    if ((*each)->adopted) return each->get();
  }
  return nullptr;
}

bool World::step() {
  if (verdict_.is_broken()) return false;
  if (session() == nullptr && pending_.empty() && !somebody_listens()) return false;
  if (++steps_ > most_steps) {
    verdict_.broken("the session does not end");
    return false;
  }
  pass_time();
  exit_if_due();
  client_.step();
  for (const auto& leg : legs_) leg->step();
  if (random_.chance(plan_.orders)) order();
  answer_due();
  collect_events();
  stage_.loop().turn_at(now_, events_);
  observe();
  if (log_ != nullptr) tell("");
  return true;
}

bool World::somebody_listens() const noexcept {
  return client_.is_listening() ||
         std::ranges::any_of(legs_, [](const auto& leg) { return leg->is_listening(); });
}

void World::pass_time() {
  const std::size_t kind = random_.below(100);
  std::size_t pause = 0;
  if (kind < plan_.slow_time) {
    pause = random_.chance(10) ? random_.between(1'000, 12'000) : random_.between(40, 1'000);
  } else if (exited_ && kind < 30) {
    pause = stage_.loop().timers().sleep_ms(now_, 100);
  } else if (kind < 60) {
    pause = random_.between(1, 12);
  } else if (kind < 65) {
    pause = random_.between(10, 40);
  }
  now_ += static_cast<Tick>(pause);
  elapsed_ += pause;
  client_.connection.tell_time(now_);
  for (const auto& leg : legs_) leg->connection.tell_time(now_);
}

void World::exit_if_due() {
  if (!exited_) {
    if (steps_ < plan_.exit_step && !(client_.has_said_all() && random_.chance(4))) return;
    exited_ = true;
    exited_after_ = elapsed_;
    return do_exit(plan_.exit);
  }
  if (ended_by_force_ || session() == nullptr) return;
  const auto timeout = static_cast<std::uint64_t>(plan_.route.close_timeout.count());
  if (elapsed_ - exited_after_ < patience_ms + timeout) return;
  ended_by_force_ = true;
  end_by(Reason::drain);
}

void World::collect_events() {
  events_.clear();
  session::Session* here = session();
  if (here == nullptr) return;
  const auto collect = [&](Peer& peer) {
    if (!peer.connection.has_event() || random_.chance(20)) return;
    const unsigned which = here->which(*peer.connection.leg());
    if (which > 2) return;
    events_.push_back({here, which, peer.connection.take_event()});
  };
  const bool client_first = random_.chance(50);
  if (client_first) collect(client_);
  for (const auto& leg : legs_) collect(*leg);
  if (!client_first) collect(client_);
}

// A held client is read up to hold_bytes, and then no more. Pings and what is swallowed are not kept.
void World::observe_hold(const session::Session& here) {
  const std::uint64_t got = client_.connection.got_by_proxy();
  const bool was_held = is_held_;
  is_held_ = here.backend() == nullptr && here.is_running() && cells_.undelivered.value() == 0;
  if (!is_held_ || !was_held) held_since_ = held_got_ = got;
  const std::uint64_t plenty = 2 * plan_.route.reroute.hold_bytes + 2'000;
  if (held_got_ - held_since_ >= plenty && got > held_got_)
    verdict_.broken("a held client is read on beyond hold_bytes");
  held_got_ = got;
}

// Behind which messages of the client a backend's came. What comes early is read later, when the leg's turn
// has come: that shows in the counters only.
void World::note_followed() {
  for (const auto& leg : legs_) leg->note_turn();
  std::uint64_t frames = 0;
  const auto& counters = cells_.flow(metrics::Direction::to_client).frames;
  for (const unsigned opcode : {op_continuation, op_text, op_binary})
    frames += counters[metrics::opcode_index(static_cast<std::uint8_t>(opcode))].value();
  Backend* newest = newest_leg();
  if (frames != backend_frames_ && newest != nullptr) newest->note_followed();
  backend_frames_ = frames;
}

void World::observe() {
  session::Session* here = session();
  if (here != nullptr) here->check_invariants();
  if (stage_.shard.moves_under_way() != (here != nullptr && here->has_moving_place() ? 1 : 0))
    verdict_.broken(std::to_string(stage_.shard.moves_under_way()) + " places for moves are taken");
  for (const auto& leg : legs_) {
    if (leg->adopted || leg->connection.leg() == nullptr) continue;
    if (here == nullptr || here->which(*leg->connection.leg()) > 2) {
      verdict_.broken(leg->connection.name() + " is neither used nor let go");
      return;
    }
    leg->adopted = true;
    if (leg->unwanted) verdict_.broken(leg->connection.name() + " came too late and was taken");
  }
  note_followed();
  if (here != nullptr) observe_hold(*here);
  if (!verdict_.is_broken() && here != nullptr && here->is_running()) judge_giving_up(plan_, legs_, verdict_);
  const auto timeout = static_cast<std::uint64_t>(plan_.route.close_timeout.count());
  if (here != nullptr && ended_by_force_ && elapsed_ > exited_after_ + 2 * patience_ms + 4 * timeout + 13'000)
    verdict_.broken("the session does not end in time");
}

void World::judge() {
  if (log_ != nullptr) tell_legs();
  if (verdict_.is_broken()) return;
  judge_leftovers();
  judge_end(plan_, client_, legs_, facts_, cells_, verdict_, coverage_);
}

void World::judge_leftovers() {
  const auto must_be_none = [this](std::int64_t left, const std::string& what) {
    if (left != 0) verdict_.broken(std::to_string(left) + " left over: " + what);
  };
  // Whoever is still armed fires now, or is a leak.
  for (int n = 0; n < 3; ++n) {
    now_ += 3'000;
    stage_.loop().turn_at(now_, {});
  }
  must_be_none(static_cast<std::int64_t>(stage_.loop().buffers().outstanding()), "buffers");
  must_be_none(stage_.pump_cells.stranded.value(), "stranded sessions");
  must_be_none(stage_.pump_cells.stored_head_bytes.value(), "bytes of stored heads");
  must_be_none(stage_.pump_cells.held_bytes.value(), "held bytes");
  must_be_none(stage_.open_sessions.open.value(), "open sessions");
  must_be_none(stage_.shard.load(), "load of the shard");
  must_be_none(stage_.loop().timers().sleep_ms(now_, 60'000) == 60'000 ? 0 : 1, "timers");
  must_be_none(stage_.shard.moves_under_way(), "moves under way");
  for (const auto& home : homes_) must_be_none(home->sessions(), "seats");
  must_be_none(latest_withdrawn_ == nullptr || latest_withdrawn_->load() ? 0 : 1,
               "attempts that are not withdrawn");
}

void World::tell_legs() const {
  std::fprintf(log_, "hold_bytes %llu, unanswered %llu, preamble %u, answers %u, %s, by %s\n",
               static_cast<unsigned long long>(plan_.route.reroute.hold_bytes),
               static_cast<unsigned long long>(plan_.route.reroute.resend_unanswered),
               plan_.route.reroute.preamble, plan_.route.reroute.preamble_answers,
               std::string(config::to_string(plan_.route.reroute.move)).c_str(),
               std::string(config::to_string(plan_.route.reroute.hold_unit)).c_str());
  for (const auto& leg : legs_) {
    std::fprintf(log_, "%s%s: death %d, got", leg->connection.name().c_str(), leg->adopted ? "" : " (unused)",
                 static_cast<int>(leg->died_of()));
    for (const std::uint32_t each : leg->received) std::fprintf(log_, " %u", each);
    const Client::Heard heard = client_.heard_from(leg->id());
    std::fprintf(log_, "; said %zu, heard %zu from %zu\n", leg->said.size(), heard.count, heard.first);
    for (const Peer::Span& frame : leg->data_frames)
      std::fprintf(log_, " %llu-%llu", static_cast<unsigned long long>(frame.begin),
                   static_cast<unsigned long long>(frame.end));
    std::fprintf(log_, "\n");
  }
}

void World::tell(const char* what) const {
  session::Session* here = stage_.shard.find(handle_);
  std::fprintf(log_, "%5zu %6llu ms %-10s client%s %llu unread, %zu said, %llu/%zu arrived", steps_,
               static_cast<unsigned long long>(elapsed_),
               here == nullptr ? "-" : here->view(now_).state.c_str(),
               client_.connection.gone() ? " (gone)" : "",
               static_cast<unsigned long long>(client_.connection.unread()), client_.said.size(),
               static_cast<unsigned long long>(client_.connection.arrived()), client_.connection.up.size());
  for (const auto& leg : legs_) {
    if (leg->connection.gone() && leg->connection.unread() == 0) continue;
    std::fprintf(log_, " | %s%s %zu got, %llu unread, %llu/%llu/%zu read and arrived",
                 leg->connection.name().c_str(), leg->is_running() ? "" : " (dead)", leg->received.size(),
                 static_cast<unsigned long long>(leg->connection.unread()),
                 static_cast<unsigned long long>(leg->connection.got_by_proxy()),
                 static_cast<unsigned long long>(leg->connection.arrived()), leg->connection.up.size());
  }
  std::fprintf(log_, " %s\n", what);
}

}  // namespace holdfast::sim
