#include "holdfast/upstream/backend.hpp"

#include <cstdio>

// Relaxed order suffices for the counters and states: each is a fact of its own, and nothing else is
// published through it.

namespace holdfast::upstream {

namespace {
constexpr std::chrono::milliseconds stuck_after{250};
}  // namespace

std::string_view text(Health health) noexcept {
  switch (health) {
    case Health::unknown:
      return "unknown";
    case Health::healthy:
      return "healthy";
    case Health::unhealthy:
      return "unhealthy";
  }
  return "unknown";
}

std::string_view text(AdminState state) noexcept {
  switch (state) {
    case AdminState::active:
      return "active";
    case AdminState::draining:
      return "draining";
    case AdminState::disabled:
      return "disabled";
  }
  return "unknown";
}

std::string_view text(FailureKind kind) noexcept {
  switch (kind) {
    case FailureKind::connect:
      return "connect";
    case FailureKind::tls:
      return "tls";
    case FailureKind::timeout:
      return "timeout";
    case FailureKind::eof:
      return "eof";
    case FailureKind::garbage:
      return "garbage";
    case FailureKind::handshake_status:
      return "handshake_status";
    case FailureKind::lost:
      return "lost";
    case FailureKind::early_death:
      return "early_death";
  }
  return "unknown";
}

std::optional<FailureKind> blame(Failure failure) noexcept {
  switch (failure) {
    case Failure::refused:
      return FailureKind::connect;
    case Failure::tls:
      return FailureKind::tls;
    case Failure::timeout:
      return FailureKind::timeout;
    case Failure::eof:
      return FailureKind::eof;
    case Failure::garbage:
      return FailureKind::garbage;
    case Failure::internal:
    case Failure::cancelled:
      return std::nullopt;
  }
  return std::nullopt;
}

Backend::Backend(std::shared_ptr<UpstreamState> state, std::string address)
    : state_(std::move(state)), address_(std::move(address)) {}

Backend::Backend(std::string upstream, std::string address)
    : Backend(std::make_shared<UpstreamState>(std::move(upstream)), std::move(address)) {}

bool Backend::eligible() const noexcept {
  return health() != Health::unhealthy && !ejected() && admin_state() == AdminState::active;
}

bool Backend::full() const noexcept {
  const std::uint64_t most = max_sessions();
  const bool no_room = most != 0 && sessions() >= most;
  return no_room || trial_.load(std::memory_order_relaxed) == Trial::taken;
}

std::uint64_t Backend::failures(FailureKind kind) const noexcept {
  return failures_[static_cast<std::size_t>(kind)].load(std::memory_order_relaxed);
}

std::string Backend::last_error() const {
  const std::lock_guard lock(error_mutex_);
  return last_error_;
}

std::uint64_t Backend::reroutes_from() const noexcept {
  return reroutes_from_.load(std::memory_order_relaxed);
}

std::uint64_t Backend::reroutes_to() const noexcept {
  return reroutes_to_.load(std::memory_order_relaxed);
}

std::uint64_t Backend::max_sessions() const noexcept {
  return max_sessions_.load(std::memory_order_relaxed);
}

void Backend::note_change(bool was_eligible, TimePoint now) noexcept {
  if (!was_eligible && eligible()) begin_slow_start(now);
  // Also where nothing seems to have changed: two threads may each have seen the other's half.
  state_->changed();
}

void Backend::set_health(Health health, TimePoint now) noexcept {
  const bool was_eligible = eligible();
  health_.store(health, std::memory_order_relaxed);
  note_change(was_eligible, now);
}

void Backend::set_admin_state(AdminState state, TimePoint now) noexcept {
  const bool was_eligible = eligible();
  const AdminState before = admin_.exchange(state, std::memory_order_relaxed);
  if (state == AdminState::disabled && before != state)
    times_disabled_.fetch_add(1, std::memory_order_relaxed);
  note_change(was_eligible, now);
}

void Backend::set_weight(std::uint32_t weight) noexcept {
  if (weight_.exchange(weight, std::memory_order_relaxed) != weight) state_->changed();
}

void Backend::set_max_sessions(std::uint64_t sessions) noexcept {
  max_sessions_.store(sessions, std::memory_order_relaxed);
  state_->queue().wake_first();
}

void Backend::count_failure(FailureKind kind, std::string what) {
  failures_[static_cast<std::size_t>(kind)].fetch_add(1, std::memory_order_relaxed);
  note_error(std::move(what));
}

void Backend::note_error(std::string what) {
  const std::lock_guard lock(error_mutex_);
  last_error_ = std::move(what);
}

void Backend::lost_leg(std::uint32_t lived_ms) noexcept {
  const FailureKind kind = lived_ms < early_death_ms() ? FailureKind::early_death : FailureKind::lost;
  failures_[static_cast<std::size_t>(kind)].fetch_add(1, std::memory_order_relaxed);
}

bool Backend::has_uncollected_losses() const noexcept {
  return failures(FailureKind::lost) != offences_.seen_lost ||
         failures(FailureKind::early_death) != offences_.seen_early || kept_legs() != offences_.seen_kept;
}

Ejection Backend::ejection() const {
  const std::lock_guard lock(offences_.mutex);
  return offences_.ejection;
}

std::uint64_t Backend::ejections(EjectReason reason) const noexcept {
  return ejections_[static_cast<std::size_t>(reason)].load(std::memory_order_relaxed);
}

std::string ejection_sentence(const Backend& backend, const std::string& why) {
  const Ejection ejection = backend.ejection();
  const auto seconds = static_cast<double>(ejection.lasts.count()) / 1000;
  char lasts[32];
  std::snprintf(lasts, sizeof lasts, "%g", seconds);
  return "backend " + backend.upstream() + "/" + backend.address() + " ejected for " + lasts + " s (" +
         std::string(text(ejection.reason)) + "): " + why;
}

std::optional<Seat> Seat::take(std::shared_ptr<Backend> backend) noexcept {
  auto trial = Backend::Trial::open;
  const bool tries = backend->trial_.compare_exchange_strong(trial, Backend::Trial::taken);
  if (!tries && trial == Backend::Trial::taken) return std::nullopt;

  // Two snapshots may pick at once, so the limit is kept here and not by the picker's mutex.
  const std::uint64_t most = backend->max_sessions();
  std::uint32_t present = backend->sessions_.load(std::memory_order_relaxed);
  do {
    if (most != 0 && present >= most) {
      if (tries) backend->trial_.store(Backend::Trial::open);
      return std::nullopt;
    }
  } while (!backend->sessions_.compare_exchange_weak(present, present + 1, std::memory_order_relaxed));
  backend->picks_.fetch_add(1, std::memory_order_relaxed);
  return Seat(std::move(backend), tries ? Kind::trial : Kind::ordinary);
}

Seat::Seat(Seat&& other) noexcept : backend_(std::move(other.backend_)), kind_(other.kind_) {}

Seat& Seat::operator=(Seat&& other) noexcept {
  if (this != &other) {
    leave();
    backend_ = std::move(other.backend_);
    kind_ = other.kind_;
  }
  return *this;
}

void Seat::leave() noexcept {
  if (!backend_) return;
  if (kind_ == Kind::trial) {
    // Only if the trial is still this one's: success and ejection have ended it already.
    auto taken = Backend::Trial::taken;
    backend_->trial_.compare_exchange_strong(taken, Backend::Trial::open);
  }
  backend_->sessions_.fetch_sub(1, std::memory_order_relaxed);
  backend_->upstream_state()->queue().wake_first();
  backend_.reset();
}

bool Backend::dials_are_stuck(TimePoint now) const noexcept {
  return dialling() >= UpstreamState::most_connecting &&
         now - dial_progress_.load(std::memory_order_relaxed) > stuck_after;
}

std::optional<Dialling> try_dialling(const std::shared_ptr<Backend>& backend, TimePoint now) noexcept {
  auto& count = backend->dialling_;
  std::uint32_t present = count.load(std::memory_order_relaxed);
  do {
    if (present >= UpstreamState::most_connecting) return std::nullopt;
  } while (!count.compare_exchange_weak(present, present + 1, std::memory_order_relaxed));
  if (present == 0) backend->dial_progress_.store(now, std::memory_order_relaxed);
  return Dialling(backend);
}

Dialling& Dialling::operator=(Dialling&& other) noexcept {
  if (this != &other) {
    end();
    backend_ = std::move(other.backend_);
  }
  return *this;
}

void Dialling::end() noexcept {
  if (backend_ == nullptr) return;
  backend_->dial_progress_.store(Clock::now(), std::memory_order_relaxed);
  backend_->dialling_.fetch_sub(1, std::memory_order_relaxed);
  backend_.reset();
}

}  // namespace holdfast::upstream
