#pragma once
// The checks of one run at its end: judge.cpp looks at messages, judge_ends.cpp at how the session ended.

#include <algorithm>
#include <string>
#include <vector>

#include "sim/judge.hpp"

namespace holdfast::sim {

[[nodiscard]] inline std::string number(std::uint64_t value) {
  return std::to_string(value);
}

/// One run at its end.
class Judge {
 public:
  Judge(const Plan& plan, const Client& client, const Legs& legs, const Facts& facts,
        const metrics::RouteCells& cells, Verdict& verdict, Coverage& coverage)
      : plan_(plan),
        reroute_(plan.route.reroute),
        client_(client),
        legs_(legs),
        facts_(facts),
        verdict_(verdict),
        coverage_(coverage),
        undelivered_(cells.undelivered.value()),
        unconfirmed_(cells.unconfirmed.value()),
        resent_(cells.resent.value()),
        pauses_(cells.rate_pauses[0].value() + cells.rate_pauses[1].value()) {
    whole_at_.resize(client_.said.size());
    followed_.resize(client_.said.size());
    for (const auto& leg : legs_) {
      for (const std::uint32_t each : leg->received) ++whole_at_[each];
      for (std::size_t n = 0; n < leg->followed; ++n) {
        if (leg->taken[n] < followed_.size()) followed_[leg->taken[n]] = true;
      }
    }
  }

  void look() {
    if (facts_.records != 1) verdict_.broken(number(facts_.records) + " access records");
    judge_reason();
    judge_client_end();
    judge_client_code();
    judge_doubled();
    judge_preamble();
    judge_lost();
    judge_clean_end();
    cover();
  }

 private:
  [[nodiscard]] bool any_leg(bool (*what)(const Backend&)) const {
    return std::ranges::any_of(legs_, [&](const auto& leg) { return what(*leg); });
  }
  [[nodiscard]] bool pings() const noexcept { return plan_.route.ping.interval.count() != 0; }
  [[nodiscard]] bool streams_by_shortage() const noexcept { return plan_.hold_memory < (1U << 20U); }
  [[nodiscard]] bool closes_the_fast() const noexcept {
    return plan_.route.protection.rate_mode == config::RateMode::close;
  }
  void expect(bool explained) {
    if (!explained) verdict_.broken(std::string("nothing explains the end ") + text(facts_.reason));
  }
  void judge_reason();
  void judge_no_backend();
  [[nodiscard]] bool may_lose_a_leg() const;
  [[nodiscard]] bool may_be_forwarded() const;
  void judge_client_end();
  void judge_client_code();
  void judge_doubled();
  void judge_preamble();
  void judge_lost();
  void judge_clean_end();
  void judge_exactly_once();
  void cover();

  const Plan& plan_;
  const config::Reroute& reroute_;
  const Client& client_;
  const Legs& legs_;
  const Facts& facts_;
  Verdict& verdict_;
  Coverage& coverage_;
  std::uint64_t undelivered_;
  std::uint64_t unconfirmed_;
  std::uint64_t resent_;
  std::uint64_t pauses_;
  std::vector<unsigned> whole_at_;  ///< by message: how many legs got it
  std::vector<bool> followed_;      ///< by message: a backend's came behind it, so it need not be counted
};

}  // namespace holdfast::sim
