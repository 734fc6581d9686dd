#include "holdfast/upstream/backend.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "holdfast/upstream/registry.hpp"

namespace holdfast::upstream {
namespace {

std::shared_ptr<Backend> backend() {
  return std::make_shared<Backend>("chat", "127.0.0.1:9001");
}

TEST_CASE("a seat counts its session from the pick until it is dropped, wherever it has moved") {
  const auto one = backend();
  {
    auto seat = Seat::take(one);
    REQUIRE(seat.has_value());
    CHECK(one->sessions() == 1);
    const Seat moved = *std::move(seat);
    seat.reset();
    CHECK(one->sessions() == 1);
    CHECK(&moved.backend() == one.get());
  }
  CHECK(one->sessions() == 0);
  CHECK(one->picks() == 1);
}

TEST_CASE("assigning a seat gives the old one back") {
  const auto one = backend();
  const auto other = backend();
  Seat seat = *Seat::take(one);
  seat = *Seat::take(other);
  CHECK(one->sessions() == 0);
  CHECK(other->sessions() == 1);
}

TEST_CASE("a full backend gives no seat until one is dropped or the limit is lifted") {
  const auto one = backend();
  one->set_max_sessions(1);
  auto seat = Seat::take(one);
  CHECK(one->full());
  CHECK_FALSE(Seat::take(one).has_value());
  CHECK(one->picks() == 1);
  seat.reset();
  CHECK_FALSE(one->full());
  seat = Seat::take(one);
  one->set_max_sessions(0);
  CHECK(Seat::take(one).has_value());
}

TEST_CASE("a seat keeps its backend alive when the registry has forgotten it") {
  Registry registry;
  auto seat = Seat::take(registry.find_or_create("chat", "a:1"));
  CHECK(registry.forget_unused() == 0);
  const std::weak_ptr<Backend> watched = seat->shared_backend();
  seat.reset();
  CHECK(registry.forget_unused() == 1);
  CHECK(watched.expired());
}

TEST_CASE("eligible means active, not unhealthy and not ejected") {
  const auto one = backend();
  CHECK(one->eligible());
  one->set_health(Health::healthy);
  CHECK(one->eligible());
  one->set_health(Health::unhealthy);
  CHECK_FALSE(one->eligible());
  one->set_health(Health::healthy);
  for (const AdminState state : {AdminState::draining, AdminState::disabled}) {
    one->set_admin_state(state);
    CHECK_FALSE(one->eligible());
  }
  one->set_admin_state(AdminState::active);
  CHECK(one->eligible());
}

TEST_CASE("failures are counted by kind and the last one is remembered") {
  const auto one = backend();
  CHECK(one->last_error().empty());
  one->count_failure(FailureKind::connect, "refused");
  one->count_failure(FailureKind::eof, "gone");
  CHECK(one->failures(FailureKind::connect) == 1);
  CHECK(one->failures(FailureKind::eof) == 1);
  CHECK(one->failures(FailureKind::tls) == 0);
  CHECK(one->last_error() == "gone");
}

TEST_CASE("our own shortages are not blamed on a backend") {
  CHECK_FALSE(blame(Failure::internal).has_value());
  CHECK_FALSE(blame(Failure::cancelled).has_value());
  CHECK(blame(Failure::refused) == FailureKind::connect);
  CHECK(blame(Failure::timeout) == FailureKind::timeout);
}

TEST_CASE("states have the words of the admin API") {
  CHECK(text(Health::unknown) == "unknown");
  CHECK(text(Health::unhealthy) == "unhealthy");
  CHECK(text(AdminState::draining) == "draining");
  CHECK(text(FailureKind::handshake_status) == "handshake_status");
}

TEST_CASE("the registry finds a backend by upstream and address with its state") {
  Registry registry;
  const auto one = registry.find_or_create("chat", "a:1");
  one->set_admin_state(AdminState::draining);
  CHECK(registry.find_or_create("chat", "a:1") == one);
  CHECK(registry.find_or_create("news", "a:1") != one);
  CHECK(registry.find("chat", "a:1")->admin_state() == AdminState::draining);
  CHECK(registry.find("chat", "b:1") == nullptr);
  CHECK(registry.all().size() == 2);
}

TEST_CASE("the registry forgets only backends that nobody holds") {
  Registry registry;
  const auto held = registry.find_or_create("chat", "a:1");
  CHECK(registry.find_or_create("chat", "b:1") != nullptr);
  CHECK(registry.forget_unused() == 1);
  CHECK(registry.find("chat", "a:1") == held);
  CHECK(registry.find("chat", "b:1") == nullptr);
}

TEST_CASE("an upstream's backends share one state, which lives as long as one of them") {
  Registry registry;
  auto one = registry.find_or_create("chat", "a:1");
  auto other = registry.find_or_create("chat", "b:1");
  CHECK(one->upstream_state() == other->upstream_state());
  CHECK(one->upstream_state() == registry.state("chat"));
  CHECK(registry.state("chat")->name() == "chat");
  CHECK(registry.state("news") != registry.state("chat"));
  CHECK(one->upstream() == "chat");

  const std::weak_ptr<UpstreamState> watched = one->upstream_state();
  one.reset();
  CHECK(registry.forget_unused() == 1);
  CHECK(registry.state("chat") == watched.lock());
  other.reset();
  CHECK(registry.forget_unused() == 1);
  // Its last backend went in the same round.
  CHECK(watched.expired());
}

TEST_CASE("a state that somebody holds is the same when its backends come back") {
  Registry registry;
  const auto held = registry.state("chat");
  registry.forget_unused();
  CHECK(registry.find_or_create("chat", "a:1")->upstream_state() == held);
}

TEST_CASE("a backend counts the dials of reroutes while they last and takes no more than its limit") {
  const auto one = backend();
  std::vector<Dialling> dials;
  for (std::uint32_t n = 0; n < UpstreamState::most_connecting; ++n)
    dials.push_back(*try_dialling(one, Clock::now()));
  CHECK(one->dialling() == UpstreamState::most_connecting);
  CHECK_FALSE(try_dialling(one, Clock::now()).has_value());
  CHECK(one->dialling() == UpstreamState::most_connecting);
  dials.pop_back();
  auto again = try_dialling(one, Clock::now());
  REQUIRE(again.has_value());
  dials.front() = *std::move(again);
  CHECK(one->dialling() == UpstreamState::most_connecting - 1);
  dials.clear();
  again.reset();
  CHECK(one->dialling() == 0);
}

TEST_CASE("reroutes are counted where they left and where they came to") {
  const auto one = backend();
  one->count_reroute_from();
  one->count_reroute_to();
  one->count_reroute_to();
  CHECK(one->reroutes_from() == 1);
  CHECK(one->reroutes_to() == 2);
}

TEST_CASE("a backend is a member while the config has it; where its upstream is gone, nothing changes") {
  Registry registry;
  const auto one = registry.find_or_create("chat", "a:1");
  const auto other = registry.find_or_create("chat", "b:1");
  const auto elsewhere = registry.find_or_create("news", "a:1");
  CHECK(one->is_member());
  registry.set_members({{"chat", {"b:1"}}, {"news", {"a:1"}}});
  CHECK_FALSE(one->is_member());
  CHECK(other->is_member());
  CHECK(elsewhere->is_member());
  registry.set_members({{"chat", {"a:1"}}});
  CHECK(one->is_member());
  CHECK_FALSE(other->is_member());
  CHECK(elsewhere->is_member());
  CHECK(one->upstream_state()->is_present());
  CHECK_FALSE(elsewhere->upstream_state()->is_present());
  registry.set_members({{"news", {"b:1"}}});
  CHECK_FALSE(one->upstream_state()->is_present());
  CHECK(elsewhere->upstream_state()->is_present());
  CHECK(one->is_member());
  CHECK_FALSE(other->is_member());
  CHECK_FALSE(elsewhere->is_member());
}

TEST_CASE("a backend counts how often it has become disabled") {
  const auto one = backend();
  one->set_admin_state(AdminState::disabled);
  one->set_admin_state(AdminState::disabled);
  CHECK(one->times_disabled() == 1);
  one->set_admin_state(AdminState::active);
  one->set_admin_state(AdminState::disabled);
  CHECK(one->times_disabled() == 2);
}

}  // namespace
}  // namespace holdfast::upstream
