#pragma once
// One run: a client, a session of the real shard, backends that come and go, a desk, an operator, a clock.

#include <array>
#include <cstdio>
#include <memory>
#include <vector>

#include "holdfast/session/route_state.hpp"
#include "sim/client.hpp"
#include "sim/coverage.hpp"
#include "sim/facts.hpp"
#include "sim/stage.hpp"

namespace holdfast::session {
class Session;
}

namespace holdfast::sim {

class World final : private Run {
 public:
  /// `log`: where every step is told; null = nowhere.
  World(Stage& stage, std::uint64_t seed, std::FILE* log);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  /// One step; false when the run is over.
  [[nodiscard]] bool step();
  /// After the last step: everything is looked at once more.
  void judge();

  [[nodiscard]] const Verdict& verdict() const noexcept { return verdict_; }
  [[nodiscard]] const Coverage& coverage() const noexcept { return coverage_; }
  [[nodiscard]] std::size_t steps() const noexcept { return steps_; }

 private:
  struct Pending {
    std::unique_ptr<session::Attempt> attempt;
    Tick due;
  };
  static constexpr std::size_t homes = 3;

  // world.cpp
  void begin();
  [[nodiscard]] bool somebody_listens() const noexcept;
  void pass_time();
  void exit_if_due();
  void collect_events();
  void observe();
  void note_followed();
  void observe_hold(const session::Session& here);
  void judge_leftovers();
  [[nodiscard]] session::Session* session() noexcept;
  [[nodiscard]] Backend* newest_leg() noexcept;  ///< that the session has taken
  Backend& add_leg(std::shared_ptr<upstream::Backend> home);
  [[nodiscard]] Connection::Surroundings surroundings() noexcept;

  // desk.cpp: the setup plane and the operator
  void asked(std::unique_ptr<session::Attempt> attempt) override;
  void answer_due();
  void answer(const session::Attempt& attempt);
  void send_ready(const session::Attempt& attempt, std::uint32_t number);
  [[nodiscard]] std::shared_ptr<upstream::Backend> pick(const session::Attempt& attempt);
  void order();
  void order_move(Cause cause);
  void set_state(Cause cause);
  void do_exit(Exit how);
  void end_by(Reason reason);
  void recorded(const session::AccessRecord& record) override;
  void rerouted(const session::RerouteRecord& record) override;

  void tell(const char* what) const;
  void tell_legs() const;

  Stage& stage_;
  Random random_;
  Verdict verdict_;
  Coverage coverage_;
  const Plan plan_;
  std::FILE* log_;
  std::shared_ptr<upstream::UpstreamState> upstream_ = std::make_shared<upstream::UpstreamState>("chat");
  std::array<std::shared_ptr<upstream::Backend>, homes> homes_;
  metrics::RouteCells cells_;
  session::RouteState route_{"room", {&cells_}};
  std::unique_ptr<const session::Continuation> continuation_;
  Legs legs_;
  Client client_;
  Facts facts_;
  Handle handle_;
  Tick now_;
  std::vector<Pending> pending_;
  std::shared_ptr<const std::atomic<bool>> latest_withdrawn_;  ///< of an attempt not answered yet
  std::uint32_t latest_number_ = 0;
  std::vector<net::Loop::Event> events_;
  std::size_t steps_ = 0;
  std::uint64_t backend_frames_ = 0;  ///< data frames that the session has seen of its backends
  std::uint64_t held_since_ = 0;  ///< bytes of the client that the session had at the first step of the hold
  std::uint64_t held_got_ = 0;    ///< and at the latest step
  std::uint64_t elapsed_ = 0;     ///< virtual ms
  std::uint64_t exited_after_ = 0;  ///< virtual ms at the exit
  bool is_held_ = false;
  bool exited_ = false;
  bool ended_by_force_ = false;
};

}  // namespace holdfast::sim
